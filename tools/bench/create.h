/*
 * create.h: what udm_create() costs: NVRTC compiles, the cache has it, the driver assembles
 * the shipped PTX.
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
  char note[512]; /* why something was not measured; "" when all was */
};

enum { BENCH_MAX_CREATES = 5 };

/*
 * In cache folders of its own, which are removed again. A context must be current;
 * 1 <= repetitions <= BENCH_MAX_CREATES.
 */
void bench_measure_create(const udm_options *options, int repetitions,
                          struct bench_create_times *times);

#endif
