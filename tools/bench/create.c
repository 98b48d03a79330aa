/*
 * create.c: measuring udm_create(): see create.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "create.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/interrupt.h"
#include "numbers/clock.h"
#include "numbers/time_samples.h"

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw) {
  (void)status;
  (void)type;
  (void)ftw;
  return remove(path);
}

/* Negative, with the note, when it fails or the image is from elsewhere. */
static double create_once(const udm_options *options, udm_image_source wanted,
                          struct bench_create_times *times) {
  udm_context *context = NULL;
  udm_context_info info = UDM_CONTEXT_INFO_INIT;
  const double start = clock_microseconds();
  if (udm_create(options, &context) != UDM_OK) {
    snprintf(times->note, sizeof times->note, "%.500s", udm_last_error());
    return -1;
  }
  const double end = clock_microseconds();
  udm_get_context_info(context, &info);
  udm_destroy(context);
  if (info.image_source != wanted) {
    snprintf(times->note, sizeof times->note, "the image was from %s, not from %s",
             udm_image_source_name(info.image_source), udm_image_source_name(wanted));
    return -1;
  }
  return (end - start) / 1e3;
}

/* Negative if one was not measured. Sorts the times. */
static double median(double *times, int count) {
  struct time_samples samples = {times, (size_t)count, (size_t)count};
  const double p50 = samples_percentiles(&samples).p50;
  return times[0] < 0 ? -1 : p50;
}

/* Once from `source` in an empty cache; again, into *warm unless it is NULL, from the cache. */
static double create_in_empty_cache(udm_options *options, udm_image_source source, double *warm,
                                    struct bench_create_times *times) {
  const char *parent = getenv("TMPDIR");
  char folder[4096];
  if (interrupted()) {
    snprintf(times->note, sizeof times->note, "interrupted");
    if (warm) *warm = -1;
    return -1;
  }
  snprintf(folder, sizeof folder, "%s/udm-bench-XXXXXX", parent && *parent ? parent : "/tmp");
  if (!mkdtemp(folder)) {
    snprintf(times->note, sizeof times->note, "%.400s: %s", folder, strerror(errno));
    if (warm) *warm = -1;
    return -1;
  }
  options->cache_dir = folder;
  options->cache_path = folder; /* not the machine's read-only layers */
  const double first = create_once(options, source, times);
  if (warm) *warm = first < 0 ? -1 : create_once(options, UDM_IMAGE_CACHE, times);
  nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
  return first;
}

void bench_measure_create(const udm_options *options, int repetitions,
                          struct bench_create_times *times) {
  udm_options own = *options;
  double cold[BENCH_MAX_CREATES] = {0};
  double warm[BENCH_MAX_CREATES] = {0};
  double ptx[BENCH_MAX_CREATES] = {0};
  memset(times, 0, sizeof *times);
  times->repetitions = repetitions;
  own.log = NULL;
  for (int i = 0; i < repetitions; ++i) {
    cold[i] = create_in_empty_cache(&own, UDM_IMAGE_NVRTC, &warm[i], times);
  }
  own.flags |= UDM_OPTION_NO_COMPILE; /* leaves the shipped PTX alone */
  for (int i = 0; i < repetitions; ++i) {
    ptx[i] = create_in_empty_cache(&own, UDM_IMAGE_SHIPPED_PTX, NULL, times);
  }
  times->cold = median(cold, repetitions);
  times->warm = median(warm, repetitions);
  times->ptx = median(ptx, repetitions);
}
