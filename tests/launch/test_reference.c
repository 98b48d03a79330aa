/*
 * test_reference.c: the oracle itself, on cases worked out by hand. Every
 * expected number below is written out, none is computed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "reference_fixture.h"

static void test_three_rows(void **state) {
  (void)state;
  const int32_t seq_lens[] = {5, 2, 9};
  const int32_t indices[] = {2, 0, 1};
  const udm_decode_args args = fresh_args(seq_lens, indices, 3);
  run(&args);
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
