/*
 * workload.h: what the bench measures: a batch of some shape in device memory, and the outputs of
 * the backends of one phase or of all three.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_BENCH_WORKLOAD_H
#define UDM_TOOLS_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "gpu/gpu_session.h"

enum {
  BENCH_PAGE_SIZE = 64,
  BENCH_TOPK = 2048,
  BENCH_TOKENS = 4, /* query tokens per request of a verify or an extend */
  BENCH_MAX_CALLS = 3
};

/* Verify and extend have one backend. */
enum bench_phase {
  BENCH_DRAFT,
  BENCH_DRAFT_WITH_SCHEDULES,
  BENCH_VERIFY,
  BENCH_EXTEND,
  BENCH_ITERATION /* a draft, a verify and an extend, with schedules and context lengths */
};

/* Options of a shape. */
enum {
  BENCH_PAGES_ALONE = 1, /* no page_table_1 */
  BENCH_ROW_PER_REQUEST = 2,
  BENCH_INT64 = 4,      /* seq_lens and req_pool_indices */
  BENCH_ONE_LONG = 8,   /* one row has `length`, the others `shortest` */
  BENCH_MISALIGNED = 16 /* req_to_token lies a slot behind 16-byte alignment */
};

struct bench_shape {
  const char *name;
  int32_t batch_size;
  int32_t width;    /* of the tables, in tokens */
  int32_t length;   /* of every row, or of the longest if `shortest` is not 0 */
  int32_t shortest; /* not 0: lengths are log-uniform from here to `length` */
  int options;      /* BENCH_PAGES_ALONE, ... */
  enum bench_phase phase;
};

/* The sums of tokens and of pages over all rows. */
int64_t bench_shape_tokens(const struct bench_shape *shape);
int64_t bench_shape_pages(const struct bench_shape *shape);

struct bench_workload {
  const struct gpu_session *session;
  udm_decode_args calls[BENCH_MAX_CALLS]; /* each for all backends of a phase */
  int call_count;
  bool has_alternatives;     /* the phase is BENCH_DRAFT */
  CUdeviceptr pointer_table; /* of calls[0]: int64[7, backends] in device memory */
  CUdeviceptr *host_table;   /* the same in pinned host memory */
  CUdeviceptr memory;        /* holds all tensors */
  int64_t tokens;
  int64_t pages;
};

/* The query tokens per request of a call. */
int32_t bench_tokens_per_request(const udm_decode_args *args);

/* Fills the slots in use with random numbers. Returns the result of the first failed driver call.
 */
CUresult bench_workload_open(struct bench_workload *workload, const struct gpu_session *session,
                             const struct bench_shape *shape, int32_t backends);
void bench_workload_close(struct bench_workload *workload);

/* Each enqueues on the session's stream. The others than the first need has_alternatives. */
CUresult bench_call_direct(const struct bench_workload *workload);
CUresult bench_call_table(const struct bench_workload *workload);
CUresult bench_call_table_with_copy(const struct bench_workload *workload);
CUresult bench_call_each_backend(const struct bench_workload *workload);

#endif
