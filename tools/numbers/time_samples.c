/*
 * time_samples.c: measured times, and their percentiles: see time_samples.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "time_samples.h"

#include <stdlib.h>

bool samples_add(struct time_samples *samples, double value) {
  if (samples->count == samples->capacity) {
    const size_t capacity = samples->capacity ? 2 * samples->capacity : 4096;
    double *values = realloc(samples->values, capacity * sizeof *values);
    if (!values) return false;
    samples->values = values;
    samples->capacity = capacity;
  }
  samples->values[samples->count++] = value;
  return true;
}

static int compare_doubles(const void *a, const void *b) {
  const double x = *(const double *)a;
  const double y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The value that percent of all are not above: rank ceil(percent / 100 * count). */
static double nearest_rank(const struct time_samples *samples, size_t percent) {
  return samples->values[(samples->count * percent + 99) / 100 - 1];
}

struct time_percentiles samples_percentiles(struct time_samples *samples) {
  if (samples->count == 0) return (struct time_percentiles){-1, -1};
  qsort(samples->values, samples->count, sizeof *samples->values, compare_doubles);
  return (struct time_percentiles){nearest_rank(samples, 50), nearest_rank(samples, 99)};
}
