/*
 * create.h: the time of the first udm_create() of a process: if NVRTC compiles, if udm's cache has
 * the image, and if the driver assembles the shipped PTX.
 *
 * The driver keeps what NVRTC compiled and what it assembled in a cache of its own
 * (~/.nv/ComputeCache), from where a second compile of the same kernel comes in a fraction of the
 * time. So a cold start has two times: without that cache, as on a fresh machine, and with the
 * result of an earlier start in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_BENCH_CREATE_H
#define UDM_TOOLS_BENCH_CREATE_H

#include "command/progress.h"
#include "udm.h"

/* Medians in milliseconds; negative: not measured. */
struct bench_create_times {
  int repetitions;
  double cold; /* NVRTC compiles */
  double cold_driver_cache;
  double ptx; /* the driver assembles the shipped PTX */
  double ptx_driver_cache;
  double warm;    /* from udm's cache */
  char note[512]; /* why a time is missing; "" if none is */
};

enum { BENCH_MAX_CREATES = 5 };

/*
 * Measures each in a fresh child process and a temporary folder. This process must not have used
 * the driver yet: a child made by fork() could not use it then. 1 <= repetitions <=
 * BENCH_MAX_CREATES.
 */
void bench_measure_create(const udm_options *options, int32_t gpu, int repetitions,
                          struct progress_bar *bar, struct bench_create_times *times);

#endif
