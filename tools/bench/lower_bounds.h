/*
 * lower_bounds.h: the floor kernels on a GPU, and the memory that a sweep of the L2 cache reads.
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
  CUfunction empty;         /* of the arguments of up to 3 backends */
  CUfunction empty_general; /* of more */
  CUfunction copy;
  CUfunction sweep;
  CUdeviceptr swept; /* memory of four times the L2 cache */
  int64_t swept_vectors;
  CUdeviceptr sink;
  unsigned int multiprocessors;
};

/* Where a copy goes: Targets and the count of floor_kernels.cu. */
struct bench_targets {
  CUdeviceptr tables[UDM_MAX_BACKENDS];
  int32_t count;
};

/* On failure returns false, sets reason and leaves everything closed. */
bool lower_bounds_open(struct lower_bounds *bounds, const struct gpu_session *session,
                       const udm_options *options, char *reason, size_t reason_size);
void lower_bounds_close(struct lower_bounds *bounds, const struct gpu_session *session);

/* Each enqueues one kernel on the session's stream. */
CUresult bench_launch_empty(const struct lower_bounds *bounds, const struct gpu_session *session,
                            int64_t backends);
CUresult bench_launch_sweep(const struct lower_bounds *bounds, const struct gpu_session *session);
/* Copies that many elements of 4 bytes from one place to all targets, rounded up to 16 bytes. */
CUresult bench_launch_copy(const struct lower_bounds *bounds, const struct gpu_session *session,
                           CUdeviceptr from, const struct bench_targets *to, int64_t elements);

#endif
