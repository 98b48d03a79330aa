/*
 * create.c: measures udm_create() in child processes: see create.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "create.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command/interrupt.h"
#include "gpu/gpu_session.h"
#include "numbers/clock.h"
#include "numbers/time_samples.h"

/* What the driver's cache of its own does in a child. */
enum driver_cache { DRIVER_CACHE_OFF, DRIVER_CACHE_ON };

/* What a child does. */
struct start {
  udm_options options;
  int32_t gpu;
  udm_image_source wanted;
  enum driver_cache driver_cache;
};

/* What a child reports. */
struct result {
  double ms;      /* negative: it failed */
  char note[512]; /* why */
};

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw) {
  (void)status;
  (void)type;
  (void)ftw;
  return remove(path);
}

/* Creates once, in the current CUDA context. */
static void time_create(const struct start *start, struct result *result) {
  udm_context *context = NULL;
  udm_context_info info = UDM_CONTEXT_INFO_INIT;
  const double begun = clock_microseconds();
  const udm_status status = udm_create(&start->options, &context);
  const double ended = clock_microseconds();
  if (status != UDM_OK) {
    snprintf(result->note, sizeof result->note, "%.500s", udm_last_error());
    return;
  }
  udm_get_context_info(context, &info);
  udm_destroy(context);
  if (info.image_source != start->wanted) {
    snprintf(result->note, sizeof result->note, "the image came from %s, not from %s",
             udm_image_source_name(info.image_source), udm_image_source_name(start->wanted));
    return;
  }
  result->ms = (ended - begun) / 1e3;
}

/* The child: reports on the pipe, and ends. */
static void run_child(const struct start *start, int pipe) {
  struct gpu_session session;
  struct result result = {.ms = -1};
  const bool off = start->driver_cache == DRIVER_CACHE_OFF;
  if (setenv("CUDA_CACHE_DISABLE", off ? "1" : "0", 1) != 0) _exit(1);
  if (gpu_session_open_without_udm(&session, &start->options, start->gpu, result.note,
                                   sizeof result.note)) {
    time_create(start, &result);
    gpu_session_close(&session);
  }
  _exit(write(pipe, &result, sizeof result) == (ssize_t)sizeof result ? 0 : 1);
}

/* Returns milliseconds. On failure sets the note, unless there is one; negative. */
static double time_start(const struct start *start, struct bench_create_times *times) {
  struct result result = {.ms = -1, .note = "a child process ended early"};
  int ends[2];
  ssize_t got = 0;
  if (interrupted()) {
    snprintf(result.note, sizeof result.note, "interrupted");
  } else if (pipe(ends) != 0) {
    snprintf(result.note, sizeof result.note, "pipe: %s", strerror(errno));
  } else {
    const pid_t child = fork();
    if (child == 0) run_child(start, ends[1]);
    close(ends[1]);
    struct result reported;
    do got = read(ends[0], &reported, sizeof reported);
    while (got < 0 && errno == EINTR);
    if (got == (ssize_t)sizeof reported) result = reported;
    close(ends[0]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
  }
  if (result.ms < 0 && !times->note[0]) memcpy(times->note, result.note, sizeof times->note);
  return result.ms;
}

enum kind { COLD, COLD_DRIVER_CACHE, PTX, PTX_DRIVER_CACHE, WARM, KINDS, NOT_KEPT = KINDS };

/* In this order: each kind with the folder of udm's cache, which is empty at first. */
static const struct {
  enum kind kind;
  const char *cache;
  udm_image_source wanted;
  enum driver_cache driver_cache;
} starts[] = {
    {COLD, "cold", UDM_IMAGE_NVRTC, DRIVER_CACHE_OFF},
    {WARM, "cold", UDM_IMAGE_CACHE, DRIVER_CACHE_OFF},
    {NOT_KEPT, "cold-fills", UDM_IMAGE_NVRTC, DRIVER_CACHE_ON}, /* fills the driver's cache */
    {COLD_DRIVER_CACHE, "cold-again", UDM_IMAGE_NVRTC, DRIVER_CACHE_ON},
    {PTX, "ptx", UDM_IMAGE_SHIPPED_PTX, DRIVER_CACHE_OFF},
    {NOT_KEPT, "ptx-fills", UDM_IMAGE_SHIPPED_PTX, DRIVER_CACHE_ON},
    {PTX_DRIVER_CACHE, "ptx-again", UDM_IMAGE_SHIPPED_PTX, DRIVER_CACHE_ON},
};
enum { STARTS = sizeof starts / sizeof starts[0] };

/* Runs start number i, with udm's cache in a folder of `parent`. */
static double run_start(const struct start *base, size_t i, const char *parent,
                        struct bench_create_times *times) {
  char cache[4096];
  struct start start = *base;
  snprintf(cache, sizeof cache, "%s/%s", parent, starts[i].cache);
  start.options.cache_dir = cache;
  start.options.cache_path = cache; /* not the machine's read-only layers */
  start.wanted = starts[i].wanted;
  start.driver_cache = starts[i].driver_cache;
  if (start.wanted == UDM_IMAGE_SHIPPED_PTX) start.options.flags |= UDM_OPTION_NO_COMPILE;
  return time_start(&start, times);
}

/* Sorts the times. Returns a negative number if one is missing. */
static double median(double *times, int count) {
  struct time_samples samples = {times, (size_t)count, (size_t)count};
  const double p50 = samples_percentiles(&samples).p50;
  return times[0] < 0 ? -1 : p50;
}

void bench_measure_create(const udm_options *options, int32_t gpu, int repetitions,
                          struct progress_bar *bar, struct bench_create_times *times) {
  const char *temporary = getenv("TMPDIR");
  double ms[KINDS + 1][BENCH_MAX_CREATES] = {{0}};
  struct start base = {.options = *options, .gpu = gpu};
  char folder[4000];
  int64_t done = 0;
  base.options.log = NULL;
  *times = (struct bench_create_times){.repetitions = repetitions};
  progress_start(bar, "starting processes", (int64_t)repetitions * STARTS);
  for (int r = 0; r < repetitions; ++r) {
    snprintf(folder, sizeof folder, "%s/udm-bench-XXXXXX",
             temporary && *temporary ? temporary : "/tmp");
    const bool made = mkdtemp(folder) != NULL;
    if (!made) snprintf(times->note, sizeof times->note, "%.400s: %s", folder, strerror(errno));
    for (size_t i = 0; i < STARTS; ++i) {
      ms[starts[i].kind][r] = made ? run_start(&base, i, folder, times) : -1;
      progress_update(bar, ++done);
    }
    if (made) nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
  }
  progress_finish(bar);
  times->cold = median(ms[COLD], repetitions);
  times->cold_driver_cache = median(ms[COLD_DRIVER_CACHE], repetitions);
  times->ptx = median(ms[PTX], repetitions);
  times->ptx_driver_cache = median(ms[PTX_DRIVER_CACHE], repetitions);
  times->warm = median(ms[WARM], repetitions);
}
