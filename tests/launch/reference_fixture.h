/*
 * reference_fixture.h: what the tests of the reference share: small tensors that are larger than
 * needed, and their comparison with numbers that are written out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_REFERENCE_FIXTURE_H
#define UDM_TESTS_REFERENCE_FIXTURE_H

#include "cmocka_headers.h"
#include "udm.h"

enum { UNTOUCHED = -7777, BACKENDS = 3, ROWS = 4, TOKENS = 8, COLUMNS = 12 };

/* Outputs of one backend, larger than needed: what is past them must stay untouched. */
struct outputs {
  int32_t cache_seqlens[ROWS + 2];
  int32_t cu_seqlens_k[ROWS + 3];
  int32_t page_table_1[TOKENS + 1][COLUMNS];
  int32_t nsa_cache_seqlens[TOKENS + 2];
  int32_t nsa_cu_seqlens_k[TOKENS + 3];
  int32_t real_page_table[TOKENS + 1][COLUMNS];
  int32_t seqlens_expanded[TOKENS + 2];
  int32_t cu_seqlens_q[ROWS + 3];
  int32_t paged_mqa_ctx_lens[TOKENS + 2];
};

/* Slot of token j of row r: 1000 * (r + 1) + j, easy to read in an expectation. */
static int32_t req_to_token[ROWS][COLUMNS];
static struct outputs outputs[BACKENDS];
static const struct outputs *const o = &outputs[0];

static inline CUdeviceptr address(const void *pointer) { return (CUdeviceptr)(uintptr_t)pointer; }

static inline void bind(udm_backend_outputs *backend, struct outputs *to) {
  backend->cache_seqlens = address(to->cache_seqlens);
  backend->cu_seqlens_k = address(to->cu_seqlens_k);
  backend->page_table_1 = address(to->page_table_1);
  backend->nsa_cache_seqlens = address(to->nsa_cache_seqlens);
  backend->nsa_cu_seqlens_k = address(to->nsa_cu_seqlens_k);
  backend->real_page_table = address(to->real_page_table);
  backend->seqlens_expanded = address(to->seqlens_expanded);
}

static inline udm_decode_args fresh_args(const void *seq_lens, const void *indices,
                                         int32_t batch_size) {
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

/* In any mode, with cu_seqlens_q and paged_mqa_ctx_lens. */
static inline udm_decode_args phase_args(udm_mode mode, const void *seq_lens, const void *indices,
                                         int32_t batch_size) {
  udm_decode_args args = fresh_args(seq_lens, indices, batch_size);
  args.mode = mode;
  for (int b = 0; b < BACKENDS; ++b) {
    args.extra[b].cu_seqlens_q = address(outputs[b].cu_seqlens_q);
    args.extra[b].paged_mqa_ctx_lens = address(outputs[b].paged_mqa_ctx_lens);
  }
  return args;
}

static inline udm_decode_args static_args(udm_mode mode, int32_t tokens, const void *seq_lens,
                                          const void *indices, int32_t batch_size) {
  udm_decode_args args = phase_args(mode, seq_lens, indices, batch_size);
  args.tokens_per_request = tokens;
  return args;
}

static inline udm_decode_args ragged_args(udm_mode mode, const int32_t *extend_lens,
                                          int32_t num_tokens, const void *seq_lens,
                                          const void *indices, int32_t batch_size) {
  udm_decode_args args = phase_args(mode, seq_lens, indices, batch_size);
  args.extend_lens = address(extend_lens);
  args.num_tokens = num_tokens;
  return args;
}

static inline void run(const udm_decode_args *args) {
  const udm_status status = udm_decode_metadata_reference(args);
  if (status != UDM_OK) fail_msg("%s", udm_last_error());
}

static inline void assert_ints(const int32_t *got, const int32_t *want, int count) {
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

#endif
