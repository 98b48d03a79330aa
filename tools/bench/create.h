/*
 * create.h: the time of udm_create() if NVRTC compiles, if the cache has the image, and if the
 * driver assembles the shipped PTX.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_BENCH_CREATE_H
#define UDM_TOOLS_BENCH_CREATE_H

#include "udm.h"

/* Medians in milliseconds; negative: not measured. */
struct bench_create_times {
  int repetitions;
  double cold;
  double warm;
  double ptx;
  char note[512]; /* why a time is missing; "" if none is */
};

enum { BENCH_MAX_CREATES = 5 };

/*
 * Measures in temporary cache folders. A CUDA context must be current;
 * 1 <= repetitions <= BENCH_MAX_CREATES.
 */
void bench_measure_create(const udm_options *options, int repetitions,
                          struct bench_create_times *times);

#endif
