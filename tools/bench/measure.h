/*
 * measure.h: times one node of a CUDA graph, and one call on the host.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_BENCH_MEASURE_H
#define UDM_TOOLS_BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "lower_bounds.h"
#include "workload.h"

enum { BENCH_NODES = 10 };

/* Microseconds of one graph node, or of the three of an iteration; negative: not measured. */
struct bench_times {
  double direct;
  double direct_flushed; /* a sweep of the L2 cache ran before each node */
  double table;
  double table_with_copy; /* a host-to-device copy of the pointers before each launch */
  double each_backend;    /* one launch per backend */
  double copy;            /* the lower bound: bench_launch_copies() */
  double copy_flushed;
};

struct bench_host_times {
  double empty; /* cuLaunchKernel of an empty kernel with the same argument array */
  double direct;
  double table;
  double table_with_copy;
  double each_backend;
  double iteration; /* three direct calls: draft, verify, extend */
};

struct bench_run {
  struct gpu_session session;
  struct lower_bounds lower_bounds;
  bool has_lower_bounds;
  char lower_bounds_missing[512]; /* why it has none */
  int64_t replays;
  int64_t backends;  /* per launch */
  double empty_node; /* one graph node of the empty kernel */
  char error[1024];
};

/* Times a node of the empty kernel. Like the next two, on failure sets bench->error; false. */
bool bench_measure_empty(struct bench_run *bench);

/* Times direct and copy. If full, also the flushed times, and the alternatives if it has them. */
bool bench_measure_workload(struct bench_run *bench, const struct bench_workload *workload,
                            bool full, struct bench_times *times);

bool bench_measure_host(struct bench_run *bench, const struct bench_workload *draft,
                        const struct bench_workload *iteration, struct bench_host_times *times);

#endif
