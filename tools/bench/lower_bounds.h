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

/* The targets of a copy: Targets and their count in lower_bound_kernels.cu. */
struct bench_targets {
  CUdeviceptr tables[UDM_MAX_BACKENDS];
  int32_t count;
};

/* On failure returns false, sets reason and closes everything. */
bool lower_bounds_open(struct lower_bounds *bounds, const struct gpu_session *session,
                       const udm_options *options, char *reason, size_t reason_size);
void lower_bounds_close(struct lower_bounds *bounds, const struct gpu_session *session);

/* Each enqueues one kernel on the session's stream. */
CUresult bench_launch_empty(const struct lower_bounds *bounds, const struct gpu_session *session,
                            int64_t backends);
CUresult bench_launch_sweep(const struct lower_bounds *bounds, const struct gpu_session *session);
/* Copies elements of 4 bytes, rounded up to 16 bytes, from one place to every target. */
CUresult bench_launch_copy(const struct lower_bounds *bounds, const struct gpu_session *session,
                           CUdeviceptr from, const struct bench_targets *to, int64_t elements);

#endif
