/*
 * time_samples.h: measured times, and their percentiles.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_NUMBERS_TIME_SAMPLES_H
#define UDM_TOOLS_NUMBERS_TIME_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>

struct time_samples {
  double *values;
  size_t count;
  size_t capacity;
};

struct time_percentiles {
  double p50; /* negative: nothing was measured */
  double p99;
};

/* False without memory. */
bool samples_add(struct time_samples *samples, double value);

/* By nearest rank. Sorts the samples. */
struct time_percentiles samples_percentiles(struct time_samples *samples);

#endif
