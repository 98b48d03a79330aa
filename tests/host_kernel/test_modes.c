/*
 * test_modes.c: the shipped kernel in every mode of a speculative step, run on the CPU, against the
 * reference: static and ragged batches, extra outputs, schedules, any of them null.
 * UDM_TEST_CASES sets the number of random cases.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the headers above */
#include <cmocka.h>

#include "decode_check.h"

enum { RAGGED = 0 };

static struct decode_case_request request_of(int32_t mode) {
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.mode = mode;
  return request;
}

static void test_random_cases(void **state) {
  (void)state;
  const uint64_t count = 6 * decode_check_random_cases();
  struct decode_case_request request = request_of(DECODE_CASE_ANY);
  for (request.seed = 5000; request.seed < 5000 + count; ++request.seed) {
    request.table = request.seed % 3 == 0;
    decode_check_request(&request);
  }
}

static void test_every_batch_size_to_300(void **state) {
  (void)state;
  for (int32_t mode = UDM_MODE_DECODE; mode <= UDM_MODE_DRAFT_EXTEND; ++mode) {
    struct decode_case_request request = request_of(mode);
    request.max_len_bound = 40;
    for (request.batch_size = 0; request.batch_size <= 300; ++request.batch_size) {
      request.seed = 6000 + 1000 * (uint64_t)mode + (uint64_t)request.batch_size;
      request.table = request.seed % 2 == 1;
      decode_check_request(&request);
    }
  }
}

/* Batches of one window and of several. */
static void test_every_number_of_tokens(void **state) {
  (void)state;
  static const int32_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 8, 17, RAGGED};
  static const int32_t sizes[] = {1, 5, 32, 33, 64, 65, 256, 257};
  for (int32_t mode = UDM_MODE_TARGET_VERIFY; mode <= UDM_MODE_DRAFT_EXTEND; ++mode) {
    struct decode_case_request request = request_of(mode);
    request.max_len_bound = 300;
    for (size_t t = 0; t < sizeof tokens / sizeof tokens[0]; ++t) {
      for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
        request.seed = 10000 + 1000 * (uint64_t)mode + 10 * t + s;
        request.table = request.seed % 2 == 1;
        request.tokens_per_request = tokens[t];
        request.batch_size = sizes[s];
        decode_check_request(&request);
      }
    }
  }
}

/* Several pairs of length blocks, of one chunk each or of several; several windows. */
static void test_large_batches(void **state) {
  (void)state;
  static const int32_t sizes[] = {511, 512, 513, 8192, 8193};
  for (int32_t mode = UDM_MODE_DECODE; mode <= UDM_MODE_DRAFT_EXTEND; ++mode) {
    struct decode_case_request request = request_of(mode);
    request.max_len = 3;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
      for (int ragged = 0; ragged <= (mode != UDM_MODE_DECODE); ++ragged) {
        request.batch_size = sizes[s];
        request.tokens_per_request = ragged ? RAGGED : 4;
        request.num_backends = sizes[s] > 1000 ? 2 : DECODE_CASE_ANY;
        request.seed = 13000 + 100 * (uint64_t)mode + 10 * s + (uint64_t)ragged;
        request.table = s % 2 == 0;
        decode_check_request(&request);
      }
    }
  }
}

/* Rows of many tiles, which the copying warps share, next to rows of a few columns. */
static void test_one_huge_row_among_many_small(void **state) {
  (void)state;
  static const int32_t sizes[] = {1, 31, 33, 64, 65, 129, 256, 257, 700};
  static const int32_t tokens[] = {4, 3, RAGGED};
  struct decode_case_request request = request_of(UDM_MODE_TARGET_VERIFY);
  request.last_row_longest = true;
  request.num_backends = 2;
  request.extent = UDM_EXTENT_ROW;
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
    for (size_t t = 0; t < sizeof tokens / sizeof tokens[0]; ++t) {
      request.batch_size = sizes[s];
      request.max_len = sizes[s] <= 300 ? 2500 : 700;
      request.tokens_per_request = tokens[t];
      request.seed = 14000 + 10 * s + t;
      request.mode = request.seed % 2 == 0 ? UDM_MODE_TARGET_VERIFY : UDM_MODE_DRAFT_EXTEND;
      request.table = s % 2 == 1;
      request.aligned_percent = s % 3 == 0 ? 0 : DECODE_CASE_ANY;
      decode_check_request(&request);
    }
  }
}

static void test_every_row_is_as_long_as_the_longest(void **state) {
  (void)state;
  static const int32_t sizes[] = {2, 33, 257, 513};
  struct decode_case_request request = request_of(DECODE_CASE_ANY);
  request.last_row_longest = true;
  request.max_len = 300;
  request.num_backends = 1;
  request.extent = UDM_EXTENT_BATCH_MAX;
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
    request.batch_size = sizes[s];
    for (request.seed = 15000; request.seed < 15004; ++request.seed) {
      decode_check_request(&request);
    }
  }
}

static void test_page_sizes_and_alignments(void **state) {
  (void)state;
  static const int32_t page_sizes[] = {1, 2, 3, 16, 64, 128, 1 << 27, INT32_MAX};
  static const int32_t aligned[] = {0, 50, 100};
  struct decode_case_request request = request_of(DECODE_CASE_ANY);
  request.seed = 16000;
  for (size_t p = 0; p < sizeof page_sizes / sizeof page_sizes[0]; ++p) {
    for (size_t a = 0; a < sizeof aligned / sizeof aligned[0]; ++a) {
      for (int32_t batch_size = 1; batch_size <= 33; batch_size += 16) {
        ++request.seed;
        request.table = request.seed % 2 == 0;
        request.real_page_size = page_sizes[p];
        request.aligned_percent = aligned[a];
        request.batch_size = batch_size;
        request.max_len = 500;
        decode_check_request(&request);
      }
    }
  }
}

static void test_neither_order_nor_grid_matters(void **state) {
  (void)state;
  static const uint32_t copy_blocks[] = {1, 2, 3, 7, 40};
  struct decode_case_request request = request_of(DECODE_CASE_ANY);
  request.max_len_bound = 1500;
  for (request.seed = 17000; request.seed < 17020; ++request.seed) {
    request.table = request.seed % 2 == 0;
    struct decode_case *c = decode_check_create(&request);
    const uint32_t lengths = udm_length_blocks(&c->args);
    for (size_t g = 0; g < sizeof copy_blocks / sizeof copy_blocks[0]; ++g) {
      const struct host_kernel_dim3 grid = {lengths + copy_blocks[g], 1, 1};
      decode_check_launch(c, grid, request.seed + 37 * g);
    }
    decode_case_destroy(c);
  }
}

/* New lengths, and new extend_lens, over the outputs of earlier steps, as in a replayed graph. */
static void test_later_steps_keep_what_is_not_theirs(void **state) {
  (void)state;
  struct decode_case_request request = request_of(DECODE_CASE_ANY);
  request.batch_size_bound = 40;
  for (request.seed = 18000; request.seed < 18015; ++request.seed) {
    struct decode_case *c = decode_check_create(&request);
    for (uint64_t step = 0; step < 8; ++step) {
      decode_check_launch(c, decode_launch_grid(&c->args), step);
      assert_int_equal(decode_case_next_step(c), UDM_OK);
    }
    decode_case_destroy(c);
  }
}

static CUdeviceptr address(const void *pointer) { return (CUdeviceptr)(uintptr_t)pointer; }

enum { ROWS = 700, TOKENS = 2, COLUMNS = 8 };

struct in_place_outputs {
  int32_t cache_seqlens[ROWS], cu_seqlens_k[ROWS + 1], seqlens_expanded[ROWS * TOKENS];
  int32_t page_table_1[ROWS * TOKENS][COLUMNS];
};

static void bind_in_place(udm_decode_args *args, struct in_place_outputs *to) {
  args->seq_lens = args->backends[0].cache_seqlens = address(to->cache_seqlens);
  args->backends[0].cu_seqlens_k = address(to->cu_seqlens_k);
  args->backends[0].seqlens_expanded = address(to->seqlens_expanded);
  args->backends[0].page_table_1 = address(to->page_table_1);
}

/* If L(i) is seq_lens[i], the lengths may be read where cache_seqlens is written. */
static void test_lengths_in_place(void **state) {
  (void)state;
  static struct in_place_outputs want, got;
  static const int32_t indices[ROWS], slots[COLUMNS] = {1, 2, 3, 4, 5, 6, 7, 8};
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  args.batch_size = ROWS;
  args.max_len = COLUMNS;
  args.req_to_token_stride = args.page_table_stride = COLUMNS;
  args.req_pool_indices = address(indices);
  args.req_to_token = address(slots);
  args.num_backends = 1;
  args.nsa_index_topk = 64;
  args.index_kpool = 1; /* a field behind `backends`: the general kernel */
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    char text[HOST_KERNEL_TEXT_SIZE];
    args.mode = seed % 2 ? UDM_MODE_DRAFT_EXTEND : UDM_MODE_DECODE;
    args.tokens_per_request = seed % 2 ? TOKENS : 1;
    memset(&want, 0, sizeof want);
    for (int32_t i = 0; i < ROWS; ++i) want.cache_seqlens[i] = i * 7919 % 20;
    got = want;
    bind_in_place(&args, &want);
    assert_int_equal(udm_decode_metadata_reference(&args), UDM_OK);
    bind_in_place(&args, &got);
    if (!decode_launch_direct(&args, decode_launch_grid(&args), seed, text)) fail_msg("%s", text);
    assert_memory_equal(&got, &want, sizeof want);
  }
}

/* The comparison sees a changed element of each output, and calls it by its name. */
static void test_a_wrong_element_of_each_output_is_named(void **state) {
  (void)state;
  static const char *const names[DECODE_CASE_OUTPUTS] = {
      "cache_seqlens",      "cu_seqlens_k",      "page_table_1",     "nsa_cache_seqlens",
      "nsa_cu_seqlens_k",   "real_page_table",   "seqlens_expanded", "cu_seqlens_q",
      "paged_mqa_ctx_lens", "paged_mqa_schedule"};
  struct decode_case_request request = request_of(UDM_MODE_TARGET_VERIFY);
  bool seen[DECODE_CASE_OUTPUTS] = {false};
  request.batch_size = 3;
  request.max_len = 20;
  request.real_page_size = 4;
  request.num_backends = 1;
  for (request.seed = 0; request.seed < 40; ++request.seed) {
    struct decode_case *c = decode_check_create(&request);
    for (int o = 0; o < DECODE_CASE_OUTPUTS; ++o) {
      char text[DECODE_CASE_TEXT_SIZE], want[64];
      const size_t at = c->output_offsets[0][o];
      if (at == DECODE_CASE_NULL || (c->num_tokens == 0 && o != 1)) continue;
      snprintf(want, sizeof want, "%s of backend 0, row 0, column 0: got ", names[o]);
      memcpy(c->output_before, c->output_expected, c->output_bytes);
      c->output_before[at] ^= 1;
      assert_false(decode_case_matches(c, c->output_before, text, sizeof text));
      assert_memory_equal(text, want, strlen(want));
      seen[o] = true;
    }
    decode_case_destroy(c);
  }
  for (int o = 0; o < DECODE_CASE_OUTPUTS; ++o) assert_true(seen[o]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_wrong_element_of_each_output_is_named),
      cmocka_unit_test(test_random_cases),
      cmocka_unit_test(test_every_batch_size_to_300),
      cmocka_unit_test(test_every_number_of_tokens),
      cmocka_unit_test(test_large_batches),
      cmocka_unit_test(test_one_huge_row_among_many_small),
      cmocka_unit_test(test_every_row_is_as_long_as_the_longest),
      cmocka_unit_test(test_page_sizes_and_alignments),
      cmocka_unit_test(test_neither_order_nor_grid_matters),
      cmocka_unit_test(test_later_steps_keep_what_is_not_theirs),
      cmocka_unit_test(test_lengths_in_place),
  };
  return cmocka_run_group_tests_name("modes of the kernel on the host", tests, NULL, NULL);
}
