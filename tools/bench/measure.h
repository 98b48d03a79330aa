/*
 * measure.h: how the bench measures: one node of a CUDA graph, and one call on the host.
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

/* Microseconds; negative: not measured. */
struct bench_times {
  double direct;
  double direct_flushed; /* with the L2 cache swept before each node */
  double table;
  double table_with_copy; /* a host-to-device copy of the pointers before each launch */
  double each_backend;    /* a launch for each backend */
  double copy;            /* the floor: one read, and a write for each backend, of as many bytes as
                             page_table_1, or else real_page_table, gets of them */
  double copy_flushed;
};

struct bench_host_times {
  double empty; /* cuLaunchKernel of an empty kernel with the same argument array */
  double direct;
  double table;
  double table_with_copy;
  double each_backend;
};

struct bench_run {
  struct gpu_session session;
  struct lower_bounds lower_bounds;
  bool has_lower_bounds;
  char lower_bounds_missing[512]; /* why not */
  int64_t replays;
  int64_t backends;  /* that each launch fills */
  double empty_node; /* one graph node of the empty kernel */
  char error[1024];
};

/* Measures the empty node. False on failure, with bench->error set, as for all of these. */
bool bench_measure_empty(struct bench_run *bench);

/* `full` adds the pointer-table call, the alternatives and the flushed figures to direct and copy.
 */
bool bench_measure_workload(struct bench_run *bench, const struct bench_workload *workload,
                            bool full, struct bench_times *times);

bool bench_measure_host(struct bench_run *bench, const struct bench_workload *workload,
                        struct bench_host_times *times);

#endif
