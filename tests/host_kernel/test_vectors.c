/*
 * test_vectors.c: if source and tables have the same alignment, every column is stored
 * once, by stores of 16 bytes. A kernel that copies by elements, or copies some tiles
 * twice, has the same values: only the stores show it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the headers above */
#include <cmocka.h>

#include "decode_check.h"

enum { TABLES = 6, FEW_TABLES = 3, MOST_ROWS = 600, COLUMNS = 7 * 128, STRIDE = 1024, NONE = -1 };

/* One row more, because a shifted table reaches into it. */
static alignas(128) int32_t tables[TABLES][MOST_ROWS + 1][STRIDE];
static alignas(128) int32_t req_to_token[2][STRIDE];
static int32_t seq_lens[MOST_ROWS], req_pool_indices[MOST_ROWS];
static int32_t vectors[5][MOST_ROWS + 1];

static CUdeviceptr address(const void *pointer) { return (CUdeviceptr)(uintptr_t)pointer; }

/* Clears the rows that a launch writes, and fills what it reads. */
static void fill_inputs(int32_t rows) {
  for (int b = 0; b < TABLES; ++b) memset(tables[b], 0, (size_t)(rows + 1) * sizeof tables[b][0]);
  for (int32_t j = 0; j < STRIDE; ++j) {
    req_to_token[0][j] = j + 1;
    req_to_token[1][j] = j + 2;
  }
  for (int32_t i = 0; i < MOST_ROWS; ++i) {
    seq_lens[i] = COLUMNS;
    req_pool_indices[i] = i % 2;
  }
}

/* The line offset of req_to_token, in elements. */
static int source_shift;

/* The number of tables: FEW_TABLES, or more for the general kernel. */
static int table_count = FEW_TABLES;

/* Query tokens per request, whose rows of a table are equal. */
static int32_t tokens = 1;

static udm_decode_args make_args(int32_t rows, const int shifts[TABLES]) {
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  args.seq_lens = address(seq_lens);
  args.req_pool_indices = address(req_pool_indices);
  args.req_to_token = address(req_to_token[0] + source_shift);
  args.req_to_token_stride = args.page_table_stride = STRIDE;
  args.batch_size = rows;
  args.max_len = COLUMNS;
  args.num_backends = table_count;
  if (tokens > 1) {
    args.mode = UDM_MODE_DRAFT_EXTEND;
    args.tokens_per_request = tokens;
  }
  for (int b = 0; b < table_count; ++b) {
    const CUdeviceptr table = shifts[b] == NONE ? 0 : address(tables[b][0] + shifts[b]);
    args.backends[b] = (udm_backend_outputs){address(vectors[0]), address(vectors[1]), table,
                                             address(vectors[2]), address(vectors[3]), 0,
                                             address(vectors[4])};
  }
  return args;
}

/* Launches, checks the values, and returns the number of 16-byte stores. */
static uint64_t stores_of(int32_t rows, const int shifts[TABLES], bool table, uint32_t copiers,
                          uint64_t seed) {
  char text[HOST_KERNEL_TEXT_SIZE];
  int64_t pointers[UDM_OUTPUTS_PER_BACKEND][TABLES];
  fill_inputs(rows * tokens);
  const udm_decode_args args = make_args(rows, shifts);
  for (int b = 0; b < table_count; ++b) {
    const CUdeviceptr *first = &args.backends[b].cache_seqlens; /* of seven */
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) pointers[o][b] = (int64_t)first[o];
  }
  const struct host_kernel_dim3 grid = {udm_length_blocks(&args) + copiers, 1, 1};
  const uint64_t before = host_kernel_vector_stores();
  const bool launched =
      table ? decode_launch_table(&args, address(pointers), TABLES, grid, seed, text)
            : decode_launch_direct(&args, grid, seed, text);
  const uint64_t stores = host_kernel_vector_stores() - before;
  if (!launched) fail_msg("%s", text);
  for (int b = 0; b < table_count; ++b) {
    for (int32_t i = 0; i < rows * tokens && shifts[b] != NONE; ++i) {
      /* assert_memory_equal() takes longer than the launch */
      if (memcmp(tables[b][i] + shifts[b], req_to_token[i / tokens % 2] + source_shift,
                 COLUMNS * sizeof(int32_t)) != 0) {
        fail_msg("table %d, row %d differs", b, (int)i);
      }
    }
  }
  return stores;
}

/* With few copy blocks a warp takes several slices; with many, one or none. */
static void expect(const int shifts[TABLES], int32_t stores_of_row) {
  static const int32_t sizes[] = {1, 32, 33, 64, 65, 256, 257, MOST_ROWS};
  static const uint32_t copiers[] = {1, 3, 40};
  const uint64_t seeds = 1 + decode_check_random_cases() / 75;
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
    for (size_t g = 0; g < sizeof copiers / sizeof copiers[0]; ++g) {
      const int64_t expected = (int64_t)sizes[s] * stores_of_row;
      for (uint64_t seed = 1; seed <= seeds; ++seed) {
        assert_int_equal(stores_of(sizes[s], shifts, false, copiers[g], seed), expected);
        assert_int_equal(stores_of(sizes[s], shifts, true, copiers[g], seed), expected);
      }
    }
  }
}

static void test_tables_of_the_same_alignment(void **state) {
  (void)state;
  static const int shifts[TABLES] = {0, 4, 32, 64, 8, 96};
  expect(shifts, FEW_TABLES * COLUMNS / 4);
  table_count = TABLES;
  expect(shifts, TABLES * COLUMNS / 4);
  table_count = FEW_TABLES;
}

static void test_null_tables_have_any_alignment(void **state) {
  (void)state;
  static const int outer[TABLES] = {NONE, 64, NONE};
  static const int inner[TABLES] = {32, NONE, 0};
  expect(outer, COLUMNS / 4);
  expect(inner, 2 * COLUMNS / 4);
}

/* Such a row has 8 tiles, 6 of them whole. There are enough warps for one tile per warp. */
static void test_rows_that_begin_within_a_line(void **state) {
  (void)state;
  static const int shifts[][TABLES] = {{NONE, 1, 5}, {1, NONE, 5}};
  static const int32_t sizes[] = {1, 32, 33};
  source_shift = 1;
  for (size_t s = 0; s < 2 * sizeof sizes / sizeof sizes[0]; ++s) {
    for (int table = 0; table <= 1; ++table) {
      const int32_t rows = sizes[s / 2];
      assert_int_equal(stores_of(rows, shifts[s % 2], table, 40, 1), rows * 6 * 2 * 128 / 4);
    }
  }
  source_shift = 2; /* not the alignment of the tables */
  assert_int_equal(stores_of(33, shifts[0], false, 40, 1), 0);
  source_shift = 0;
}

/* Each of the equal rows is stored once, by vectors. */
static void test_rows_of_several_tokens(void **state) {
  (void)state;
  static const int shifts[TABLES] = {0, NONE, 64}, misaligned[TABLES] = {0, 2, NONE};
  static const int32_t sizes[] = {1, 33, 65, 257};
  for (tokens = 2; tokens <= 3; ++tokens) {
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0] && sizes[s] * tokens <= MOST_ROWS; ++s) {
      const int64_t expected = (int64_t)sizes[s] * tokens * 2 * COLUMNS / 4;
      for (int table = 0; table <= 1; ++table) {
        assert_int_equal(stores_of(sizes[s], shifts, table, 40, 1), expected);
        assert_int_equal(stores_of(sizes[s], misaligned, table, 40, 1), 0);
      }
    }
  }
  tokens = 1;
}

static void test_misaligned_tables(void **state) {
  (void)state;
  static const int shifts[TABLES] = {0, 1, 0};
  expect(shifts, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tables_of_the_same_alignment),
      cmocka_unit_test(test_null_tables_have_any_alignment),
      cmocka_unit_test(test_rows_that_begin_within_a_line),
      cmocka_unit_test(test_rows_of_several_tokens),
      cmocka_unit_test(test_misaligned_tables),
  };
  return cmocka_run_group_tests_name("stores of the copying warps", tests, NULL, NULL);
}
