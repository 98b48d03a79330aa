/*
 * workload.h: what the bench measures: a batch of some shape, in device memory, and the
 * backends that are filled from it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_BENCH_WORKLOAD_H
#define UDM_TOOLS_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "gpu/gpu_session.h"

enum { BENCH_PAGE_SIZE = 64, BENCH_TOPK = 2048 };

struct bench_shape {
  const char *name;
  int32_t batch_size;
  int32_t width;    /* of the tables, in tokens */
  int32_t length;   /* of every row; the longest where `shortest` is not 0 */
  int32_t shortest; /* not 0: lengths are log-uniform from here to `length` */
  bool no_page_table_1;
};

/* The tokens of all rows together, and the pages. */
int64_t bench_shape_tokens(const struct bench_shape *shape);
int64_t bench_shape_pages(const struct bench_shape *shape);

struct bench_workload {
  const struct gpu_session *session;
  udm_decode_args args;      /* of all backends */
  CUdeviceptr pointer_table; /* int64[7, backends] in device memory */
  CUdeviceptr *host_table;   /* the same in pinned host memory */
  CUdeviceptr memory;        /* all tensors lie in it */
  int64_t tokens;
  int64_t pages;
};

/* CUDA_SUCCESS, or what a driver call said. Fills the live slots with random numbers. */
CUresult bench_workload_open(struct bench_workload *workload, const struct gpu_session *session,
                             const struct bench_shape *shape, int32_t backends);
void bench_workload_close(struct bench_workload *workload);

/* Each enqueues on the session's stream. */
CUresult bench_call_direct(const struct bench_workload *workload);
CUresult bench_call_table(const struct bench_workload *workload);
CUresult bench_call_table_with_copy(const struct bench_workload *workload);
CUresult bench_call_each_backend(const struct bench_workload *workload);

#endif
