/*
 * test_decode_metadata.c: the shipped kernel, run on the CPU, against the reference:
 * random cases, every batch size from 0 to 300, large batches, any order of threads
 * and blocks, any grid. UDM_TEST_CASES sets the number of random cases.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the headers above */
#include <cmocka.h>

#include "decode_check.h"

static void check_random_cases(bool table) {
  const uint64_t count = decode_check_random_cases();
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.table = table;
  for (request.seed = 1; request.seed <= count; ++request.seed) decode_check_request(&request);
}

static void test_direct_matches_reference_on_random_cases(void **state) {
  (void)state;
  check_random_cases(false);
}

static void test_table_matches_reference_on_random_cases(void **state) {
  (void)state;
  check_random_cases(true);
}

static void test_every_batch_size_to_300(void **state) {
  (void)state;
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.max_len_bound = 70;
  for (int32_t batch_size = 0; batch_size <= 300; ++batch_size) {
    request.batch_size = batch_size;
    request.seed = 1000 + (uint64_t)batch_size;
    for (int32_t extent = 0; extent <= 1; ++extent) {
      request.extent = extent;
      request.table = (batch_size + extent) % 2 == 1;
      decode_check_request(&request);
    }
  }
}

/* 70000 rows exceed the largest y of a grid. */
static void test_large_batches(void **state) {
  (void)state;
  static const int32_t sizes[] = {511, 512, 513, 1000, 4096, 70000};
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.max_len = 3;
  request.extent = UDM_EXTENT_ROW;
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
    request.batch_size = sizes[s];
    request.seed = 2000 + s;
    request.table = s % 2 == 0;
    decode_check_request(&request);
  }
}

/* The longest row is the last one, so a kernel that reads only the first rows misses it. */
static void test_the_longest_row_is_found_wherever_it_is(void **state) {
  (void)state;
  static const int32_t sizes[] = {2, 33, 256, 257, 513, 1000};
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.last_row_longest = true;
  request.max_len = 67;
  request.extent = UDM_EXTENT_BATCH_MAX;
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
    request.batch_size = sizes[s];
    request.seed = 2100 + s;
    request.table = s % 2 == 0;
    decode_check_request(&request);
  }
}

/* Rows that continue past their static slices because another is longer. Seeds draw both types. */
static void test_every_row_is_as_long_as_the_longest(void **state) {
  (void)state;
  static const int32_t sizes[] = {33, 257, 700};
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.last_row_longest = true;
  request.max_len = 900;
  request.num_backends = 1;
  request.extent = UDM_EXTENT_BATCH_MAX;
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
    request.batch_size = sizes[s];
    for (request.seed = 2150; request.seed < 2154; ++request.seed) decode_check_request(&request);
  }
}

/* Every page size and alignment. INT32_MAX, and 2^27 times a lane number, exceed 32 bits. */
static void test_page_sizes_and_alignments(void **state) {
  (void)state;
  static const int32_t page_sizes[] = {1,  2,   3,   4,    5,       16,       63,
                                       64, 128, 256, 1000, 1 << 27, INT32_MAX};
  static const int32_t aligned[] = {0, 50, 100};
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.seed = 2200;
  for (size_t p = 0; p < sizeof page_sizes / sizeof page_sizes[0]; ++p) {
    for (size_t a = 0; a < sizeof aligned / sizeof aligned[0]; ++a) {
      for (int32_t batch_size = 1; batch_size <= 33; batch_size += 16) {
        ++request.seed;
        request.table = request.seed % 2 == 0;
        request.real_page_size = page_sizes[p];
        request.aligned_percent = aligned[a];
        request.batch_size = batch_size;
        decode_check_request(&request);
      }
    }
  }
}

/*
 * One huge row among many small ones, in one window or in one of several: tickets find it in any
 * group of 32 rows.
 */
static void test_one_huge_row_among_many_small(void **state) {
  (void)state;
  static const int32_t sizes[] = {31,  32,  33,  63,   64,   65,   128,  129,
                                  255, 256, 257, 1000, 5000, 8192, 8193, 20000};
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.last_row_longest = true;
  request.extent = UDM_EXTENT_ROW;
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
    request.batch_size = sizes[s];
    request.max_len = sizes[s] <= 1000 ? 5000 : 700;
    request.num_backends = sizes[s] <= 1000 ? 2 : 1;
    request.seed = 2300 + s;
    request.table = s % 2 == 1;
    request.aligned_percent = s % 3 == 0 ? 0 : DECODE_CASE_ANY;
    decode_check_request(&request);
  }
}

/* All tiles of each row and of the batch, at every size class of the kernel. */
static void test_ragged_batches_to_5000(void **state) {
  (void)state;
  static const int32_t sizes[] = {2,   8,   31,  33,   64,   65,   100,  255, 256,
                                  257, 300, 511, 1023, 1025, 2049, 4097, 5000};
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.max_len_bound = 900;
  request.table_elements_bound = 600000;
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
    for (int32_t extent = 0; extent <= 1; ++extent) {
      request.batch_size = sizes[s];
      request.extent = extent;
      request.seed = 2400 + 2 * s + (uint64_t)extent;
      request.table = s % 2 == 0;
      decode_check_request(&request);
    }
  }
}

static void test_large_context(void **state) {
  (void)state;
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.max_len = 131072 + 5;
  request.table_elements_bound = 1000000;
  for (request.seed = 1; request.seed <= 6; ++request.seed) {
    request.table = request.seed % 2 == 0;
    request.batch_size = (int32_t)request.seed;
    decode_check_request(&request);
  }
}

static void test_the_order_of_execution_does_not_matter(void **state) {
  (void)state;
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.batch_size = 33;
  request.max_len = 2500;
  for (request.seed = 1; request.seed <= 4; ++request.seed) {
    struct decode_case *c = decode_check_create(&request);
    for (uint64_t order = 0; order < 12; ++order) {
      decode_check_launch(c, decode_launch_grid(&c->args), order);
    }
    decode_case_destroy(c);
  }
}

/* More slices than warps. */
static void test_slices_are_taken_in_any_order(void **state) {
  (void)state;
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.batch_size = 3;
  request.max_len = 9000;
  for (request.seed = 1; request.seed <= 3; ++request.seed) {
    request.table = request.seed % 2 == 0;
    struct decode_case *c = decode_check_create(&request);
    for (uint32_t blocks = 1; blocks <= 2; ++blocks) {
      const struct host_kernel_dim3 grid = {udm_length_blocks(&c->args) + blocks, 1, 1};
      for (uint64_t order = 0; order < 12; ++order) decode_check_launch(c, grid, order);
    }
    decode_case_destroy(c);
  }
}

static void test_the_grid_does_not_matter(void **state) {
  (void)state;
  static const uint32_t copy_blocks[] = {1, 2, 3, 7, 20, 131};
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  for (request.seed = 300; request.seed < 330; ++request.seed) {
    request.table = request.seed % 2 == 0;
    struct decode_case *c = decode_check_create(&request);
    for (size_t g = 0; g < sizeof copy_blocks / sizeof copy_blocks[0]; ++g) {
      const struct host_kernel_dim3 grid = {udm_length_blocks(&c->args) + copy_blocks[g], 1, 1};
      decode_check_launch(c, grid, request.seed);
    }
    decode_case_destroy(c);
  }
}

/* In a pointer-table call, whatever pointers the table holds. */
static void test_a_stride_of_0_says_that_there_is_no_such_table(void **state) {
  (void)state;
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.table = true;
  request.seed = 3;
  request.batch_size = 9;
  request.max_len = 300;
  request.num_backends = 2;
  request.real_page_size = 16;
  struct decode_case *c = decode_check_create(&request);
  struct decode_memory memory;
  char text[HOST_KERNEL_TEXT_SIZE];
  assert_true(decode_memory_allocate(c, &memory));
  const CUdeviceptr inputs = (CUdeviceptr)(uintptr_t)memory.inputs;
  const CUdeviceptr outputs = (CUdeviceptr)(uintptr_t)memory.outputs;
  udm_decode_args args;
  decode_case_bind(c, outputs, inputs, &args);
  decode_case_place_inputs(c, outputs, memory.inputs);
  memcpy(memory.outputs, c->output_before, c->output_bytes);
  args.page_table_stride = args.real_page_table_stride = 0;
  for (int32_t page_size = 16; page_size > 0; page_size -= 15) {
    args.real_page_size = page_size;
    if (!decode_launch_table(&args, inputs + c->backend_pointers_offset, c->backend_pointers_stride,
                             decode_launch_grid(&args), 1, text)) {
      fail_msg("%s", text);
    }
    for (int b = 0; b < 2; ++b) {
      for (int o = 2; o <= 5; o += 3) { /* page_table_1, real_page_table */
        const size_t at = c->output_offsets[b][o];
        const int64_t stride = o == 2 ? c->args.page_table_stride : c->args.real_page_table_stride;
        if (at == DECODE_CASE_NULL) continue;
        assert_memory_equal(memory.outputs + at, c->output_before + at,
                            (size_t)(9 * stride) * sizeof(int32_t));
      }
    }
  }
  decode_memory_free(&memory);
  decode_case_destroy(c);
}

/* New lengths over the outputs of earlier steps, as in a replayed graph. */
static void test_later_steps_keep_what_is_not_theirs(void **state) {
  (void)state;
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.batch_size_bound = 40;
  for (request.seed = 400; request.seed < 410; ++request.seed) {
    struct decode_case *c = decode_check_create(&request);
    for (uint64_t step = 0; step < 10; ++step) {
      decode_check_launch(c, decode_launch_grid(&c->args), step);
      assert_int_equal(decode_case_next_step(c), UDM_OK);
    }
    decode_case_destroy(c);
  }
}

/* Tests the comparison: it finds and names any one changed byte. */
static void test_a_wrong_element_is_found_and_named(void **state) {
  (void)state;
  char text[DECODE_CASE_TEXT_SIZE];
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.seed = 5;
  request.batch_size = 4;
  request.max_len = 20;
  request.num_backends = 2;
  struct decode_case *c = decode_check_create(&request);
  assert_true(decode_case_matches(c, c->output_expected, text, sizeof text));
  unsigned char *copy = malloc(c->output_bytes);
  assert_non_null(copy);
  memcpy(copy, c->output_expected, c->output_bytes);
  for (size_t at = 0; at < c->output_bytes; ++at) {
    copy[at] ^= 0x40;
    assert_false(decode_case_matches(c, copy, text, sizeof text));
    copy[at] ^= 0x40;
  }
  copy[c->output_offsets[0][3] + 8] ^= 1;
  assert_false(decode_case_matches(c, copy, text, sizeof text));
  assert_non_null(strstr(text, "nsa_cache_seqlens of backend 0, row 0, column 2: got "));
  memcpy(copy, c->output_expected, c->output_bytes);
  copy[0] ^= 1;
  assert_false(decode_case_matches(c, copy, text, sizeof text));
  assert_non_null(strstr(text, "guard band before all outputs"));
  free(copy);
  decode_case_destroy(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_wrong_element_is_found_and_named),
      cmocka_unit_test(test_direct_matches_reference_on_random_cases),
      cmocka_unit_test(test_table_matches_reference_on_random_cases),
      cmocka_unit_test(test_every_batch_size_to_300),
      cmocka_unit_test(test_large_batches),
      cmocka_unit_test(test_the_longest_row_is_found_wherever_it_is),
      cmocka_unit_test(test_every_row_is_as_long_as_the_longest),
      cmocka_unit_test(test_page_sizes_and_alignments),
      cmocka_unit_test(test_one_huge_row_among_many_small),
      cmocka_unit_test(test_ragged_batches_to_5000),
      cmocka_unit_test(test_large_context),
      cmocka_unit_test(test_the_order_of_execution_does_not_matter),
      cmocka_unit_test(test_slices_are_taken_in_any_order),
      cmocka_unit_test(test_the_grid_does_not_matter),
      cmocka_unit_test(test_a_stride_of_0_says_that_there_is_no_such_table),
      cmocka_unit_test(test_later_steps_keep_what_is_not_theirs),
  };
  return cmocka_run_group_tests_name("decode metadata kernel on the host", tests, NULL, NULL);
}
