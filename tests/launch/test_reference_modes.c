/*
 * test_reference_modes.c: the oracle in the modes of a speculative step, on cases worked out by
 * hand. Every expected number below is written out, none is computed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "reference_fixture.h"

/* ---- a number of tokens per request that is the same for all ---- */

static void test_verify_of_two_tokens(void **state) {
  (void)state;
  const int32_t seq_lens[] = {5, 0}, indices[] = {2, 0};
  const udm_decode_args args = static_args(UDM_MODE_TARGET_VERIFY, 2, seq_lens, indices, 2);
  run(&args);
  ASSERT_INTS(o->cache_seqlens, 7, 2, U);
  ASSERT_INTS(o->cu_seqlens_k, 0, 7, 9, U);
  ASSERT_INTS(o->seqlens_expanded, 6, 7, 1, 2, U);
  ASSERT_INTS(o->nsa_cache_seqlens, 3, 3, 1, 2, U);
  ASSERT_INTS(o->nsa_cu_seqlens_k, 0, 3, 6, 7, 9, U);
  ASSERT_INTS(o->cu_seqlens_q, 0, 2, 4, U);
  ASSERT_INTS(o->paged_mqa_ctx_lens, 6, 7, 1, 2, U);
  for (int copy = 0; copy < 2; ++copy) {
    ASSERT_INTS(o->page_table_1[copy], 3000, 3001, 3002, 3003, 3004, 3005, 3006, U, U, U, U, U);
    ASSERT_INTS(o->page_table_1[2 + copy], 1000, 1001, U, U);
    ASSERT_INTS(o->real_page_table[copy], 750, 751, U);
    ASSERT_INTS(o->real_page_table[2 + copy], 250, U);
  }
  ASSERT_INTS(o->page_table_1[4], U);
  ASSERT_INTS(o->real_page_table[4], U);
}

static void test_extend_of_two_tokens(void **state) {
  (void)state;
  const int32_t seq_lens[] = {5, 2}, indices[] = {2, 0};
  const udm_decode_args args = static_args(UDM_MODE_DRAFT_EXTEND, 2, seq_lens, indices, 2);
  run(&args);
  ASSERT_INTS(o->cache_seqlens, 5, 2, U);
  ASSERT_INTS(o->cu_seqlens_k, 0, 5, 7, U);
  ASSERT_INTS(o->seqlens_expanded, 4, 5, 1, 2, U);
  ASSERT_INTS(o->nsa_cache_seqlens, 3, 3, 1, 2, U);
  ASSERT_INTS(o->nsa_cu_seqlens_k, 0, 3, 6, 7, 9, U);
  ASSERT_INTS(o->cu_seqlens_q, 0, 2, 4, U);
  ASSERT_INTS(o->paged_mqa_ctx_lens, 4, 5, 1, 2, U);
  for (int copy = 0; copy < 2; ++copy) {
    ASSERT_INTS(o->page_table_1[copy], 3000, 3001, 3002, 3003, 3004, U, U, U, U, U, U, U);
    ASSERT_INTS(o->page_table_1[2 + copy], 1000, 1001, U, U);
    ASSERT_INTS(o->real_page_table[copy], 750, 751, U);
    ASSERT_INTS(o->real_page_table[2 + copy], 250, U);
  }
  ASSERT_INTS(o->page_table_1[4], U);
}

static void test_one_token_per_request(void **state) {
  (void)state;
  const int32_t seq_lens[] = {5, 2}, indices[] = {2, 0};
  udm_decode_args args = static_args(UDM_MODE_TARGET_VERIFY, 1, seq_lens, indices, 2);
  run(&args);
  ASSERT_INTS(o->cache_seqlens, 6, 3, U);
  ASSERT_INTS(o->seqlens_expanded, 6, 3, U);
  ASSERT_INTS(o->cu_seqlens_q, 0, 1, 2, U);
  ASSERT_INTS(o->page_table_1[1], 1000, 1001, 1002, U);
  args = static_args(UDM_MODE_DRAFT_EXTEND, 1, seq_lens, indices, 2);
  run(&args);
  ASSERT_INTS(o->cache_seqlens, 5, 2, U);
  ASSERT_INTS(o->seqlens_expanded, 5, 2, U);
  ASSERT_INTS(o->page_table_1[1], 1000, 1001, U);
  args = phase_args(UDM_MODE_DECODE, seq_lens, indices, 2);
  run(&args);
  ASSERT_INTS(o->seqlens_expanded, 5, 2, U);
  ASSERT_INTS(o->cu_seqlens_q, 0, 1, 2, U);
  ASSERT_INTS(o->paged_mqa_ctx_lens, 5, 2, U);
}

/* A padded row of a recorded batch has length 1, and so fewer tokens than it extends by. */
static void test_extend_by_more_tokens_than_there_are(void **state) {
  (void)state;
  const int32_t seq_lens[] = {1, 6}, indices[] = {3, 1};
  const udm_decode_args args = static_args(UDM_MODE_DRAFT_EXTEND, 4, seq_lens, indices, 2);
  run(&args);
  ASSERT_INTS(o->cache_seqlens, 1, 6, U);
  ASSERT_INTS(o->seqlens_expanded, 0, 0, 0, 1, 3, 4, 5, 6, U);
  ASSERT_INTS(o->nsa_cache_seqlens, 0, 0, 0, 1, 3, 3, 3, 3, U);
  ASSERT_INTS(o->nsa_cu_seqlens_k, 0, 0, 0, 0, 1, 4, 7, 10, 13, U);
  ASSERT_INTS(o->cu_seqlens_q, 0, 4, 8, U);
  for (int copy = 0; copy < 4; ++copy) {
    ASSERT_INTS(o->page_table_1[copy], 4000, U, U, U);
    ASSERT_INTS(o->page_table_1[4 + copy], 2000, 2001, 2002, 2003, 2004, 2005, U, U);
    ASSERT_INTS(o->real_page_table[4 + copy], 500, 501, U);
  }
  ASSERT_INTS(o->page_table_1[8], U);
}

/* ---- lengths ---- */

static void test_offsets_of_backends(void **state) {
  (void)state;
  const int32_t seq_lens[] = {5, 0}, indices[] = {2, 0};
  udm_decode_args args = phase_args(UDM_MODE_DECODE, seq_lens, indices, 2);
  args.num_backends = 2;
  bind(&args.backends[1], &outputs[1]);
  args.seqlen_offset[0] = 1;
  args.seqlen_offset[1] = 3;
  args.seqlen_offset[2] = 9; /* no such backend */
  run(&args);
  ASSERT_INTS(outputs[0].cache_seqlens, 6, 1, U);
  ASSERT_INTS(outputs[0].cu_seqlens_k, 0, 6, 7, U);
  ASSERT_INTS(outputs[0].nsa_cu_seqlens_k, 0, 3, 4, U);
  ASSERT_INTS(outputs[0].paged_mqa_ctx_lens, 6, 1, U);
  ASSERT_INTS(outputs[1].cache_seqlens, 8, 3, U);
  ASSERT_INTS(outputs[1].seqlens_expanded, 8, 3, U);
  ASSERT_INTS(outputs[1].nsa_cu_seqlens_k, 0, 3, 6, U);
  for (int b = 0; b < 2; ++b) { /* columns up to the largest length */
    ASSERT_INTS(outputs[b].page_table_1[0], 3000, 3001, 3002, 3003, 3004, 3005, 3006, 3007, U);
    ASSERT_INTS(outputs[b].page_table_1[1], 1000, 1001, 1002, U);
    ASSERT_INTS(outputs[b].real_page_table[0], 750, 751, U);
  }
}

static void test_kpool(void **state) {
  (void)state;
  const int32_t seq_lens[] = {130, 3, 64}, indices[] = {0, 1, 2};
  udm_decode_args args = phase_args(UDM_MODE_DECODE, seq_lens, indices, 3);
  args.max_len = 1;
  args.nsa_index_topk = 100;
  args.index_kpool = 64;
  run(&args);
  ASSERT_INTS(o->nsa_cache_seqlens, 102, 3, 64, U); /* min(128, 100) + 2 */
  ASSERT_INTS(o->nsa_cu_seqlens_k, 0, 102, 105, 169, U);
  args.index_kpool = 4;
  args.nsa_index_topk = 2;
  run(&args);
  ASSERT_INTS(o->nsa_cache_seqlens, 4, 3, 2, U);
  args.index_kpool = 1;
  run(&args);
  ASSERT_INTS(o->nsa_cache_seqlens, 2, 2, 2, U);
  args = static_args(UDM_MODE_TARGET_VERIFY, 4, seq_lens + 1, indices, 1);
  args.index_kpool = 4;
  args.nsa_index_topk = 3;
  run(&args);
  ASSERT_INTS(o->seqlens_expanded, 4, 5, 6, 7, U);
  ASSERT_INTS(o->nsa_cache_seqlens, 3, 4, 5, 6, U);
}

static void test_padding(void **state) {
  (void)state;
  const int32_t seq_lens[] = {3, 0, -1}, indices[] = {1, 2, 3};
  const int32_t unusable[] = {1, 123456789, -1};
  udm_decode_args args = static_args(UDM_MODE_TARGET_VERIFY, 2, seq_lens, indices, 3);
  run(&args);
  ASSERT_INTS(o->cache_seqlens, 5, 2, 2, U);
  ASSERT_INTS(o->seqlens_expanded, 4, 5, 1, 2, 1, 2, U);
  ASSERT_INTS(o->page_table_1[5], 4000, 4001, U);
  args = static_args(UDM_MODE_TARGET_VERIFY, 2, seq_lens, unusable, 3);
  args.flags = UDM_SKIP_PADDING;
  run(&args);
  ASSERT_INTS(o->cache_seqlens, 5, 0, 0, U);
  ASSERT_INTS(o->cu_seqlens_k, 0, 5, 5, 5, U);
  ASSERT_INTS(o->seqlens_expanded, 4, 5, 0, 0, 0, 0, U);
  ASSERT_INTS(o->nsa_cu_seqlens_k, 0, 3, 6, 6, 6, 6, 6, U);
  ASSERT_INTS(o->cu_seqlens_q, 0, 2, 4, 6, U); /* counts as ever */
  ASSERT_INTS(o->page_table_1[1], 2000, 2001, 2002, 2003, 2004, U);
  ASSERT_INTS(o->page_table_1[2], U);
  ASSERT_INTS(o->real_page_table[5], U);
  args.extent = UDM_EXTENT_BATCH_MAX;
  run(&args);
  ASSERT_INTS(o->page_table_1[2], U);
  args = phase_args(UDM_MODE_DECODE, seq_lens, unusable, 3);
  args.flags = UDM_SKIP_PADDING;
  args.seqlen_offset[0] = 2;
  run(&args);
  ASSERT_INTS(o->cache_seqlens, 5, 0, 0, U);
  ASSERT_INTS(o->page_table_1[1], U);
}

static void test_context_lengths_of_requests(void **state) {
  (void)state;
  const int32_t seq_lens[] = {5, 0}, indices[] = {2, 0};
  udm_decode_args args = static_args(UDM_MODE_TARGET_VERIFY, 2, seq_lens, indices, 2);
  args.flags = UDM_CTX_LENS_OF_REQUEST;
  run(&args);
  ASSERT_INTS(o->paged_mqa_ctx_lens, 7, 7, 2, 2, U);
  ASSERT_INTS(o->seqlens_expanded, 6, 7, 1, 2, U);
}

static void test_lengths_saturate(void **state) {
  (void)state;
  const int32_t seq_lens[] = {INT32_MAX - 1, INT32_MAX}, indices[] = {0, 1};
  udm_decode_args args = static_args(UDM_MODE_TARGET_VERIFY, 2, seq_lens, indices, 2);
  args.max_len = 1;
  run(&args);
  ASSERT_INTS(o->cache_seqlens, INT32_MAX, INT32_MAX, U);
  ASSERT_INTS(o->cu_seqlens_k, 0, INT32_MAX, -2, U); /* 2 (2^31 - 1) modulo 2^32 */
  ASSERT_INTS(o->seqlens_expanded, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, U);
  args = static_args(UDM_MODE_DRAFT_EXTEND, 2, seq_lens, indices, 2);
  args.max_len = 1;
  run(&args);
  ASSERT_INTS(o->seqlens_expanded, INT32_MAX - 2, INT32_MAX - 1, INT32_MAX - 1, INT32_MAX, U);
  args = phase_args(UDM_MODE_DECODE, seq_lens, indices, 2);
  args.max_len = 1;
  args.seqlen_offset[0] = INT32_MAX;
  run(&args);
  ASSERT_INTS(o->cache_seqlens, INT32_MAX, INT32_MAX, U);
}

/* ---- rows and outputs ---- */

static void test_one_table_row_per_request(void **state) {
  (void)state;
  const int32_t seq_lens[] = {5, 0}, indices[] = {2, 0};
  udm_decode_args args = static_args(UDM_MODE_TARGET_VERIFY, 2, seq_lens, indices, 2);
  args.flags = UDM_ROW_PER_REQUEST;
  run(&args);
  ASSERT_INTS(o->page_table_1[0], 3000, 3001, 3002, 3003, 3004, 3005, 3006, U);
  ASSERT_INTS(o->page_table_1[1], 1000, 1001, U);
  ASSERT_INTS(o->page_table_1[2], U);
  ASSERT_INTS(o->real_page_table[1], 250, U);
  ASSERT_INTS(o->real_page_table[2], U);
  ASSERT_INTS(o->seqlens_expanded, 6, 7, 1, 2, U);
}

static void test_batch_max_extent(void **state) {
  (void)state;
  const int32_t seq_lens[] = {1, 3}, indices[] = {2, 0};
  udm_decode_args args = static_args(UDM_MODE_TARGET_VERIFY, 2, seq_lens, indices, 2);
  args.extent = UDM_EXTENT_BATCH_MAX;
  run(&args);
  for (int copy = 0; copy < 2; ++copy) {
    ASSERT_INTS(o->page_table_1[copy], 3000, 3001, 3002, 3003, 3004, U);
    ASSERT_INTS(o->page_table_1[2 + copy], 1000, 1001, 1002, 1003, 1004, U);
  }
  ASSERT_INTS(o->page_table_1[4], U);
}

static void test_max_len_limits_columns_alone(void **state) {
  (void)state;
  const int32_t seq_lens[] = {9}, indices[] = {2};
  udm_decode_args args = static_args(UDM_MODE_TARGET_VERIFY, 2, seq_lens, indices, 1);
  args.max_len = 5;
  run(&args);
  ASSERT_INTS(o->cache_seqlens, 11, U);
  ASSERT_INTS(o->seqlens_expanded, 10, 11, U);
  ASSERT_INTS(o->page_table_1[1], 3000, 3001, 3002, 3003, 3004, U);
  ASSERT_INTS(o->real_page_table[1], 750, 751, U);
}

/* Each output alone: it has its values, and nothing else is written. */
static void test_every_other_output_may_be_null(void **state) {
  (void)state;
  const int32_t seq_lens[] = {5, 0}, indices[] = {2, 0};
  const udm_decode_args all = static_args(UDM_MODE_TARGET_VERIFY, 2, seq_lens, indices, 2);
  run(&all);
  const struct outputs want = outputs[0];
  enum { OUTPUTS = UDM_OUTPUTS_PER_BACKEND + 2 };
  for (int one = 0; one <= OUTPUTS; ++one) { /* the last time, none */
    struct outputs expected;
    udm_decode_args args = static_args(UDM_MODE_TARGET_VERIFY, 2, seq_lens, indices, 2);
    expected = outputs[0];
    CUdeviceptr *const pointers[OUTPUTS] = {
        &args.backends[0].cache_seqlens,    &args.backends[0].cu_seqlens_k,
        &args.backends[0].page_table_1,     &args.backends[0].nsa_cache_seqlens,
        &args.backends[0].nsa_cu_seqlens_k, &args.backends[0].real_page_table,
        &args.backends[0].seqlens_expanded, &args.extra[0].cu_seqlens_q,
        &args.extra[0].paged_mqa_ctx_lens};
    for (int p = 0; p < OUTPUTS; ++p) {
      const size_t begin = (size_t)(*pointers[p] - address(o));
      const size_t end = p + 1 < OUTPUTS ? (size_t)(*pointers[p + 1] - address(o)) : sizeof want;
      if (p == one) memcpy((char *)&expected + begin, (const char *)&want + begin, end - begin);
    }
    for (int p = 0; p < OUTPUTS; ++p) {
      if (p != one) *pointers[p] = 0;
    }
    run(&args);
    assert_memory_equal(o, &expected, sizeof expected);
  }
}

static void test_batch_size_0(void **state) {
  (void)state;
  const udm_decode_args args = static_args(UDM_MODE_TARGET_VERIFY, 2, NULL, NULL, 0);
  run(&args);
  ASSERT_INTS(o->cache_seqlens, U);
  ASSERT_INTS(o->cu_seqlens_k, 0, U);
  ASSERT_INTS(o->nsa_cu_seqlens_k, 0, U);
  ASSERT_INTS(o->cu_seqlens_q, 0, U);
  ASSERT_INTS(o->seqlens_expanded, U);
  ASSERT_INTS(o->page_table_1[0], U);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_verify_of_two_tokens),
      cmocka_unit_test(test_extend_of_two_tokens),
      cmocka_unit_test(test_one_token_per_request),
      cmocka_unit_test(test_extend_by_more_tokens_than_there_are),
      cmocka_unit_test(test_offsets_of_backends),
      cmocka_unit_test(test_kpool),
      cmocka_unit_test(test_padding),
      cmocka_unit_test(test_context_lengths_of_requests),
      cmocka_unit_test(test_lengths_saturate),
      cmocka_unit_test(test_one_table_row_per_request),
      cmocka_unit_test(test_batch_max_extent),
      cmocka_unit_test(test_max_len_limits_columns_alone),
      cmocka_unit_test(test_every_other_output_may_be_null),
      cmocka_unit_test(test_batch_size_0),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
