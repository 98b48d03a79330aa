/*
 * test_reference.c: the oracle itself, on cases worked out by hand. Every
 * expected number below is written out, none is computed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "cmocka_headers.h"
#include "udm.h"

enum { UNTOUCHED = -7777, ROWS = 4, COLUMNS = 12 };

/* Outputs of one backend, larger than needed: what is past them must stay untouched. */
struct outputs {
  int32_t cache_seqlens[ROWS + 2];
  int32_t cu_seqlens_k[ROWS + 3];
  int32_t page_table_1[ROWS][COLUMNS];
  int32_t nsa_cache_seqlens[ROWS + 2];
  int32_t nsa_cu_seqlens_k[ROWS + 3];
  int32_t real_page_table[ROWS][COLUMNS];
  int32_t seqlens_expanded[ROWS + 2];
};

/* Slot of token j of row r: 1000 * (r + 1) + j, easy to read in an expectation. */
static int32_t req_to_token[ROWS][COLUMNS];
static struct outputs outputs[3];

static CUdeviceptr address(const void *pointer) { return (CUdeviceptr)(uintptr_t)pointer; }

static void bind(udm_backend_outputs *backend, struct outputs *to) {
  backend->cache_seqlens = address(to->cache_seqlens);
  backend->cu_seqlens_k = address(to->cu_seqlens_k);
  backend->page_table_1 = address(to->page_table_1);
  backend->nsa_cache_seqlens = address(to->nsa_cache_seqlens);
  backend->nsa_cu_seqlens_k = address(to->nsa_cu_seqlens_k);
  backend->real_page_table = address(to->real_page_table);
  backend->seqlens_expanded = address(to->seqlens_expanded);
}

static udm_decode_args fresh_args(const void *seq_lens, const void *indices, int32_t batch_size) {
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  for (int r = 0; r < ROWS; ++r) {
    for (int j = 0; j < COLUMNS; ++j) req_to_token[r][j] = 1000 * (r + 1) + j;
  }
  int32_t *all = (int32_t *)outputs;
  for (size_t i = 0; i < sizeof outputs / (sizeof *all); ++i) all[i] = UNTOUCHED;
  args.seq_lens = address(seq_lens);
  args.req_pool_indices = address(indices);
  args.req_to_token = address(req_to_token);
  args.req_to_token_stride = COLUMNS;
  args.page_table_stride = COLUMNS;
  args.real_page_table_stride = COLUMNS;
  args.batch_size = batch_size;
  args.max_len = COLUMNS;
  args.num_backends = 1;
  args.nsa_index_topk = 3;
  args.real_page_size = 4;
  bind(&args.backends[0], &outputs[0]);
  return args;
}

static void run(const udm_decode_args *args) {
  const udm_status status = udm_decode_metadata_reference(args);
  if (status != UDM_OK) fail_msg("%s", udm_last_error());
}

static void assert_ints(const int32_t *got, const int32_t *want, int count) {
  for (int i = 0; i < count; ++i) {
    if (got[i] != want[i]) fail_msg("element %d is %d, not %d", i, (int)got[i], (int)want[i]);
  }
}

#define ASSERT_INTS(got, ...)                                         \
  do {                                                                \
    const int32_t want_[] = {__VA_ARGS__};                            \
    assert_ints((got), want_, (int)(sizeof want_ / sizeof want_[0])); \
  } while (0)

#define U UNTOUCHED

static void test_three_rows(void **state) {
  (void)state;
  const int32_t seq_lens[] = {5, 2, 9};
  const int32_t indices[] = {2, 0, 1};
  const udm_decode_args args = fresh_args(seq_lens, indices, 3);
  run(&args);
  const struct outputs *o = &outputs[0];
  ASSERT_INTS(o->cache_seqlens, 5, 2, 9, U);
  ASSERT_INTS(o->seqlens_expanded, 5, 2, 9, U);
  ASSERT_INTS(o->cu_seqlens_k, 0, 5, 7, 16, U);
  ASSERT_INTS(o->nsa_cache_seqlens, 3, 2, 3, U);
  ASSERT_INTS(o->nsa_cu_seqlens_k, 0, 3, 5, 8, U);
  ASSERT_INTS(o->page_table_1[0], 3000, 3001, 3002, 3003, 3004, U, U, U, U, U, U, U);
  ASSERT_INTS(o->page_table_1[1], 1000, 1001, U, U, U, U, U, U, U, U, U, U);
  ASSERT_INTS(o->page_table_1[2], 2000, 2001, 2002, 2003, 2004, 2005, 2006, 2007, 2008, U, U, U);
  ASSERT_INTS(o->page_table_1[3], U, U, U);
  ASSERT_INTS(o->real_page_table[0], 750, 751, U, U);
  ASSERT_INTS(o->real_page_table[1], 250, U, U, U);
  ASSERT_INTS(o->real_page_table[2], 500, 501, 502, U);
  ASSERT_INTS(o->real_page_table[3], U, U);
}

static void test_batch_max_extent(void **state) {
  (void)state;
  const int32_t seq_lens[] = {1, 5, 0};
  const int32_t indices[] = {0, 1, 3};
  udm_decode_args args = fresh_args(seq_lens, indices, 3);
  args.extent = UDM_EXTENT_BATCH_MAX;
  run(&args);
  const struct outputs *o = &outputs[0];
  ASSERT_INTS(o->cache_seqlens, 1, 5, 0, U);
  ASSERT_INTS(o->page_table_1[0], 1000, 1001, 1002, 1003, 1004, U);
  ASSERT_INTS(o->page_table_1[1], 2000, 2001, 2002, 2003, 2004, U);
  ASSERT_INTS(o->page_table_1[2], 4000, 4001, 4002, 4003, 4004, U);
  ASSERT_INTS(o->real_page_table[0], 250, 251, U);
  ASSERT_INTS(o->real_page_table[2], 1000, 1001, U);
}

static void test_max_len_clamps_the_page_tables_only(void **state) {
  (void)state;
  const int32_t seq_lens[] = {9, 4};
  const int32_t indices[] = {0, 1};
  udm_decode_args args = fresh_args(seq_lens, indices, 2);
  args.max_len = 5;
  run(&args);
  const struct outputs *o = &outputs[0];
  ASSERT_INTS(o->cache_seqlens, 9, 4, U);
  ASSERT_INTS(o->cu_seqlens_k, 0, 9, 13, U);
  ASSERT_INTS(o->page_table_1[0], 1000, 1001, 1002, 1003, 1004, U);
  ASSERT_INTS(o->page_table_1[1], 2000, 2001, 2002, 2003, U);
  ASSERT_INTS(o->real_page_table[0], 250, 251, U);
  ASSERT_INTS(o->real_page_table[1], 500, U);
}

static void test_padding_and_negative_rows_count_as_0(void **state) {
  (void)state;
  const int32_t seq_lens[] = {0, 3, -5};
  const int32_t indices[] = {123456789, 0, -1}; /* never read through for empty rows */
  const udm_decode_args args = fresh_args(seq_lens, indices, 3);
  run(&args);
  const struct outputs *o = &outputs[0];
  ASSERT_INTS(o->cache_seqlens, 0, 3, 0, U);
  ASSERT_INTS(o->seqlens_expanded, 0, 3, 0, U);
  ASSERT_INTS(o->cu_seqlens_k, 0, 0, 3, 3, U);
  ASSERT_INTS(o->nsa_cache_seqlens, 0, 3, 0, U);
  ASSERT_INTS(o->nsa_cu_seqlens_k, 0, 0, 3, 3, U);
  ASSERT_INTS(o->page_table_1[0], U);
  ASSERT_INTS(o->page_table_1[1], 1000, 1001, 1002, U);
  ASSERT_INTS(o->page_table_1[2], U);
  ASSERT_INTS(o->real_page_table[0], U);
  ASSERT_INTS(o->real_page_table[2], U);
}

static void test_int64_saturates_and_sums_wrap(void **state) {
  (void)state;
  const int64_t seq_lens[] = {INT64_C(5000000000), 2, INT64_MIN};
  const int64_t indices[] = {0, 1, 2};
  udm_decode_args args = fresh_args(seq_lens, indices, 3);
  args.seq_lens_type = UDM_INT64;
  args.req_pool_indices_type = UDM_INT64;
  args.max_len = 2;
  args.nsa_index_topk = INT32_MAX;
  run(&args);
  const struct outputs *o = &outputs[0];
  ASSERT_INTS(o->cache_seqlens, 2147483647, 2, 0, U);
  ASSERT_INTS(o->nsa_cache_seqlens, 2147483647, 2, 0, U);
  /* 2147483647 + 2 = 2147483649, which is -2147483647 modulo 2^32 */
  ASSERT_INTS(o->cu_seqlens_k, 0, 2147483647, -2147483647, -2147483647, U);
  ASSERT_INTS(o->page_table_1[0], 1000, 1001, U);
}

static void test_batch_size_0_writes_the_leading_zeros_only(void **state) {
  (void)state;
  udm_decode_args args = fresh_args(NULL, NULL, 0);
  args.backends[0].cache_seqlens = 0;
  args.backends[0].page_table_1 = 0;
  args.backends[0].nsa_cache_seqlens = 0;
  args.backends[0].real_page_table = 0;
  args.backends[0].seqlens_expanded = 0;
  args.req_to_token = 0;
  run(&args);
  ASSERT_INTS(outputs[0].cu_seqlens_k, 0, U);
  ASSERT_INTS(outputs[0].nsa_cu_seqlens_k, 0, U);
  ASSERT_INTS(outputs[0].cache_seqlens, U);
  ASSERT_INTS(outputs[0].page_table_1[0], U);
}

static void test_null_page_tables(void **state) {
  (void)state;
  const int32_t seq_lens[] = {6};
  const int32_t indices[] = {1};
  udm_decode_args args = fresh_args(seq_lens, indices, 1);
  args.backends[0].page_table_1 = 0;
  args.page_table_stride = 0;
  run(&args);
  ASSERT_INTS(outputs[0].page_table_1[0], U);
  ASSERT_INTS(outputs[0].real_page_table[0], 500, 501, U);

  args = fresh_args(seq_lens, indices, 1);
  args.real_page_size = 1;
  args.backends[0].real_page_table = 0;
  args.real_page_table_stride = 0;
  run(&args);
  ASSERT_INTS(outputs[0].page_table_1[0], 2000, 2001, 2002, 2003, 2004, 2005, U);
  ASSERT_INTS(outputs[0].real_page_table[0], U);
}

static void test_three_backends_and_an_alias(void **state) {
  (void)state;
  const int32_t seq_lens[] = {3, 1};
  const int32_t indices[] = {3, 2};
  udm_decode_args args = fresh_args(seq_lens, indices, 2);
  args.num_backends = 3;
  bind(&args.backends[1], &outputs[1]);
  bind(&args.backends[2], &outputs[2]);
  args.backends[1].page_table_1 = 0;
  args.backends[2].seqlens_expanded = args.backends[2].cache_seqlens;
  run(&args);
  for (int b = 0; b < 3; ++b) {
    ASSERT_INTS(outputs[b].cache_seqlens, 3, 1, U);
    ASSERT_INTS(outputs[b].cu_seqlens_k, 0, 3, 4, U);
    ASSERT_INTS(outputs[b].real_page_table[0], 1000, U);
    ASSERT_INTS(outputs[b].real_page_table[1], 750, U);
  }
  ASSERT_INTS(outputs[0].page_table_1[0], 4000, 4001, 4002, U);
  ASSERT_INTS(outputs[1].page_table_1[0], U);
  ASSERT_INTS(outputs[2].page_table_1[1], 3000, U);
  ASSERT_INTS(outputs[1].seqlens_expanded, 3, 1, U);
  ASSERT_INTS(outputs[2].seqlens_expanded, U);
}

static void test_page_sizes_that_are_no_power_of_two(void **state) {
  (void)state;
  const int32_t seq_lens[] = {7};
  const int32_t indices[] = {0};
  udm_decode_args args = fresh_args(seq_lens, indices, 1);
  args.real_page_size = 3;
  run(&args);
  ASSERT_INTS(outputs[0].real_page_table[0], 333, 334, 335, U); /* 1000, 1003 and 1006 by 3 */
  args.real_page_size = 100;                                    /* larger than the row */
  outputs[0].real_page_table[0][0] = U;
  outputs[0].real_page_table[0][1] = U;
  run(&args);
  ASSERT_INTS(outputs[0].real_page_table[0], 10, U);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_three_rows),
      cmocka_unit_test(test_batch_max_extent),
      cmocka_unit_test(test_max_len_clamps_the_page_tables_only),
      cmocka_unit_test(test_padding_and_negative_rows_count_as_0),
      cmocka_unit_test(test_int64_saturates_and_sums_wrap),
      cmocka_unit_test(test_batch_size_0_writes_the_leading_zeros_only),
      cmocka_unit_test(test_null_page_tables),
      cmocka_unit_test(test_three_backends_and_an_alias),
      cmocka_unit_test(test_page_sizes_that_are_no_power_of_two),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
