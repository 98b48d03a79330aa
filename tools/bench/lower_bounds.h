/*
 * lower_bounds.h: the kernels of the lower bounds on a GPU, and the memory that a sweep of the L2
 * cache reads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_BENCH_LOWER_BOUNDS_H
#define UDM_TOOLS_BENCH_LOWER_BOUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpu/gpu_session.h"
#include "workload.h"

struct lower_bounds {
  CUmodule module;
  CUfunction empty;         /* with the arguments for up to 3 backends */
  CUfunction empty_general; /* with the arguments for more */
  CUfunction copy;
  CUfunction sweep;
  CUdeviceptr swept; /* memory, four times the size of the L2 cache */
  int64_t swept_vectors;
  CUdeviceptr sink;
  unsigned int multiprocessors;
};

/* On failure returns false, sets reason and closes everything. */
bool lower_bounds_open(struct lower_bounds *bounds, const struct gpu_session *session,
                       const udm_options *options, char *reason, size_t reason_size);
void lower_bounds_close(struct lower_bounds *bounds, const struct gpu_session *session);

/* Each enqueues on the session's stream: these one kernel. */
CUresult bench_launch_empty(const struct lower_bounds *bounds, const struct gpu_session *session,
                            int64_t backends);
CUresult bench_launch_sweep(const struct lower_bounds *bounds, const struct gpu_session *session);
/*
 * Per call of the workload, enqueues a copy of the bytes of page_table_1, or of real_page_table if
 * page_table_1 is null: it reads them once and writes them as often as the call does.
 */
CUresult bench_launch_copies(const struct lower_bounds *bounds,
                             const struct bench_workload *workload);

#endif
