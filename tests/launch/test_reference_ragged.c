/*
 * test_reference_ragged.c: the oracle on ragged batches, whose requests have extend_lens[i] tokens,
 * worked out by hand. Every expected number below is written out, none is computed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "reference_fixture.h"

static void test_ragged_verify(void **state) {
  (void)state;
  const int32_t seq_lens[] = {3, 4, 0}, indices[] = {0, 1, 2}, extend_lens[] = {2, 0, 1};
  const udm_decode_args args =
      ragged_args(UDM_MODE_TARGET_VERIFY, extend_lens, 3, seq_lens, indices, 3);
  run(&args);
  ASSERT_INTS(o->cache_seqlens, 5, 4, 1, U);
  ASSERT_INTS(o->cu_seqlens_k, 0, 5, 9, 10, U);
  ASSERT_INTS(o->seqlens_expanded, 4, 5, 1, U);
  ASSERT_INTS(o->nsa_cache_seqlens, 3, 3, 1, U);
  ASSERT_INTS(o->nsa_cu_seqlens_k, 0, 3, 6, 7, U);
  ASSERT_INTS(o->cu_seqlens_q, 0, 2, 2, 3, U);
  ASSERT_INTS(o->page_table_1[0], 1000, 1001, 1002, 1003, 1004, U);
  ASSERT_INTS(o->page_table_1[1], 1000, 1001, 1002, 1003, 1004, U);
  ASSERT_INTS(o->page_table_1[2], 3000, U);
  ASSERT_INTS(o->page_table_1[3], U);
  ASSERT_INTS(o->real_page_table[1], 250, 251, U);
  ASSERT_INTS(o->real_page_table[2], 750, U);
}

static void test_ragged_extend(void **state) {
  (void)state;
  const int32_t seq_lens[] = {2, 5, 4}, indices[] = {0, 1, 2}, extend_lens[] = {3, 0, 1};
  const udm_decode_args args =
      ragged_args(UDM_MODE_DRAFT_EXTEND, extend_lens, 4, seq_lens, indices, 3);
  run(&args);
  ASSERT_INTS(o->cache_seqlens, 2, 5, 4, U);
  ASSERT_INTS(o->cu_seqlens_k, 0, 2, 7, 11, U);
  ASSERT_INTS(o->seqlens_expanded, 0, 1, 2, 4, U);
  ASSERT_INTS(o->nsa_cu_seqlens_k, 0, 0, 1, 3, 6, U);
  ASSERT_INTS(o->cu_seqlens_q, 0, 3, 3, 4, U);
  ASSERT_INTS(o->page_table_1[2], 1000, 1001, U);
  ASSERT_INTS(o->page_table_1[3], 3000, 3001, 3002, 3003, U);
  ASSERT_INTS(o->page_table_1[4], U);
}

/* Room for more tokens than there are: the rest have length 0 and no columns. */
static void test_more_room_than_tokens(void **state) {
  (void)state;
  const int32_t seq_lens[] = {3, 4, 0}, indices[] = {0, 1, 2}, extend_lens[] = {2, 0, 1};
  udm_decode_args args = ragged_args(UDM_MODE_TARGET_VERIFY, extend_lens, 5, seq_lens, indices, 3);
  args.flags = UDM_CTX_LENS_OF_REQUEST;
  run(&args);
  ASSERT_INTS(o->cu_seqlens_k, 0, 5, 9, 10, U);
  ASSERT_INTS(o->seqlens_expanded, 4, 5, 1, 0, 0, U);
  ASSERT_INTS(o->nsa_cache_seqlens, 3, 3, 1, 0, 0, U);
  ASSERT_INTS(o->nsa_cu_seqlens_k, 0, 3, 6, 7, 7, 7, U);
  ASSERT_INTS(o->paged_mqa_ctx_lens, 5, 5, 1, 0, 0, U);
  ASSERT_INTS(o->cu_seqlens_q, 0, 2, 2, 3, U);
  ASSERT_INTS(o->page_table_1[2], 3000, U);
  ASSERT_INTS(o->page_table_1[3], U);
  ASSERT_INTS(o->real_page_table[4], U);
}

/* Less room than tokens: a request is cut in its midst. What belongs to requests is not cut. */
static void test_less_room_than_tokens(void **state) {
  (void)state;
  const int32_t seq_lens[] = {3, 4, 0}, indices[] = {0, 1, 2}, extend_lens[] = {2, 0, 1};
  udm_decode_args args = ragged_args(UDM_MODE_TARGET_VERIFY, extend_lens, 1, seq_lens, indices, 3);
  run(&args);
  ASSERT_INTS(o->cache_seqlens, 5, 4, 1, U);
  ASSERT_INTS(o->cu_seqlens_k, 0, 5, 9, 10, U);
  ASSERT_INTS(o->seqlens_expanded, 4, U);
  ASSERT_INTS(o->nsa_cu_seqlens_k, 0, 3, U);
  ASSERT_INTS(o->cu_seqlens_q, 0, 2, 2, 3, U);
  ASSERT_INTS(o->page_table_1[0], 1000, 1001, 1002, 1003, 1004, U);
  ASSERT_INTS(o->page_table_1[1], U);
  args = ragged_args(UDM_MODE_TARGET_VERIFY, extend_lens, 0, seq_lens, indices, 3);
  run(&args);
  ASSERT_INTS(o->cache_seqlens, 5, 4, 1, U);
  ASSERT_INTS(o->seqlens_expanded, U);
  ASSERT_INTS(o->nsa_cu_seqlens_k, 0, U);
  ASSERT_INTS(o->paged_mqa_ctx_lens, U);
  ASSERT_INTS(o->page_table_1[0], U);
}

static void test_extend_lens_are_clamped(void **state) {
  (void)state;
  const int32_t seq_lens[] = {3, 1, 2}, indices[] = {0, 1, 2};
  const int64_t wide[] = {-3, 2, INT64_C(5000000000)};
  udm_decode_args args = ragged_args(UDM_MODE_TARGET_VERIFY, NULL, 4, seq_lens, indices, 3);
  args.extend_lens = address(wide);
  args.extend_lens_type = UDM_INT64;
  args.max_len = 3;
  run(&args);
  ASSERT_INTS(o->cache_seqlens, 3, 3, 2147483647, U); /* 2147483649, saturated */
  ASSERT_INTS(o->seqlens_expanded, 2, 3, 3, 4, U);
  ASSERT_INTS(o->cu_seqlens_q, 0, 0, 2, -2147483647, U); /* 2147483649 modulo 2^32 */
  ASSERT_INTS(o->page_table_1[1], 2000, 2001, 2002, U);
  ASSERT_INTS(o->page_table_1[3], 3000, 3001, 3002, U);
}

/* A request without tokens has a row, and so have requests past num_tokens. */
static void test_one_table_row_per_request(void **state) {
  (void)state;
  const int32_t seq_lens[] = {5, 0, 4}, indices[] = {2, 0, 1}, extend_lens[] = {1, 2, 0};
  udm_decode_args args = ragged_args(UDM_MODE_DRAFT_EXTEND, extend_lens, 1, seq_lens, indices, 3);
  args.flags = UDM_ROW_PER_REQUEST;
  run(&args);
  ASSERT_INTS(o->page_table_1[0], 3000, 3001, 3002, 3003, 3004, U);
  ASSERT_INTS(o->page_table_1[1], U);
  ASSERT_INTS(o->page_table_1[2], 2000, 2001, 2002, 2003, U);
  ASSERT_INTS(o->seqlens_expanded, 5, U);
}

/* All tokens are past the sum of extend_lens. */
static void test_batch_size_0(void **state) {
  (void)state;
  const int32_t extend_lens[] = {3};
  const udm_decode_args args = ragged_args(UDM_MODE_DRAFT_EXTEND, extend_lens, 2, NULL, NULL, 0);
  run(&args);
  ASSERT_INTS(o->cu_seqlens_k, 0, U);
  ASSERT_INTS(o->cu_seqlens_q, 0, U);
  ASSERT_INTS(o->seqlens_expanded, 0, 0, U);
  ASSERT_INTS(o->nsa_cu_seqlens_k, 0, 0, 0, U);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ragged_verify),
      cmocka_unit_test(test_ragged_extend),
      cmocka_unit_test(test_more_room_than_tokens),
      cmocka_unit_test(test_less_room_than_tokens),
      cmocka_unit_test(test_extend_lens_are_clamped),
      cmocka_unit_test(test_one_table_row_per_request),
      cmocka_unit_test(test_batch_size_0),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
