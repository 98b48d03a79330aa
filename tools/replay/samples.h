/*
 * Measured times, and their percentiles.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_SAMPLES_H
#define UDM_TOOLS_REPLAY_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>

typedef struct time_samples {
  double *values;
  size_t count;
  size_t capacity;
} time_samples;

typedef struct time_percentiles {
  double p50; /* negative: nothing was measured */
  double p99;
} time_percentiles;

/* False without memory. */
bool samples_add(time_samples *samples, double value);

/* By nearest rank. Sorts the samples. */
time_percentiles samples_percentiles(time_samples *samples);

#endif /* UDM_TOOLS_REPLAY_SAMPLES_H */
