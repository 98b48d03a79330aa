/*
 * prewarm_jobs.c: what udm prewarm compiles, on several threads, until a signal ends it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command/interrupt.h"
#include "numbers/clock.h"
#include "prewarm.h"

/* Shows the wait for another process, and ends it, and a compile, at a signal. */
static int stop_or_show(void *user_data, udm_activity activity) {
  struct prewarm *work = user_data;
  const bool waits = activity == UDM_ACTIVITY_WAITING;
  pthread_mutex_lock(&work->lock);
  work->bar.label = waits ? "prewarm, waiting for another process that compiles" : "prewarm";
  progress_update(&work->bar, work->done);
  pthread_mutex_unlock(&work->lock);
  return interrupted();
}

static void run_job(struct prewarm *work, struct prewarm_job *job) {
  udm_prewarm_result result = {.struct_size = sizeof result};
  udm_options options = work->options;
  options.should_stop = stop_or_show;
  options.should_stop_user_data = work;
  if (job->nvrtc) options.nvrtc_library = job->nvrtc->info.path;
  const udm_status status = udm_prewarm(&options, job->arch, work->flags, &result);
  char *error = status == UDM_OK ? NULL : strdup(udm_last_error());
  pthread_mutex_lock(&work->lock);
  job->result = result;
  job->status = status;
  job->error = error;
  job->finished = status != UDM_ERROR_CANCELLED;
  progress_update(&work->bar, ++work->done);
  pthread_mutex_unlock(&work->lock);
}

static void add_job(struct prewarm *work, int32_t arch, const struct nvrtc_found *nvrtc) {
  for (int32_t i = 0; i < work->job_count; ++i) {
    if (work->jobs[i].arch == arch && work->jobs[i].nvrtc == nvrtc && !work->jobs[i].hopeless) {
      return;
    }
  }
  work->jobs[work->job_count].arch = arch;
  work->jobs[work->job_count++].nvrtc = nvrtc;
}

static void add_hopeless_job(struct prewarm *work, int32_t arch, int32_t driver) {
  char text[320];
  const char *package = nvrtc_package(arch, driver);
  snprintf(text, sizeof text,
           "no NVRTC here makes images for sm_%d that a driver of CUDA %d.%d takes: %s%s", arch,
           driver / 1000, driver % 1000 / 10,
           package ? "install one that does, such as the Python package "
                   : "no other does, either: update the driver",
           package ? package : "");
  struct prewarm_job *job = &work->jobs[work->job_count++];
  job->arch = arch;
  job->hopeless = true;
  job->status = UDM_ERROR_UNSUPPORTED_ARCH;
  job->error = strdup(text);
}

void prewarm_make_jobs(struct prewarm *work) {
  const bool all = !work->arch_list || strcmp(work->arch_list, "all") == 0;
  for (int32_t a = 0; a < work->arch_count; ++a) {
    const int32_t arch = work->archs[a];
    if (work->driver_count == 0) add_job(work, arch, nvrtc_list_newest(&work->nvrtcs, arch, 0));
    for (int32_t d = 0; d < work->driver_count; ++d) {
      const int32_t major = work->drivers[d] / 1000;
      const struct nvrtc_found *nvrtc = nvrtc_list_newest(&work->nvrtcs, arch, major);
      if (nvrtc || arch < LOWEST_ARCH) { /* udm_prewarm() reports one that is too old */
        add_job(work, arch, nvrtc);
      } else if (!all || !nvrtc_list_newest(&work->nvrtcs, 0, major)) {
        add_hopeless_job(work, arch, work->drivers[d]);
      }
    }
  }
}

static void *work_on_jobs(void *user_data) {
  struct prewarm *work = user_data;
  pthread_mutex_lock(&work->lock);
  while (work->next < work->job_count && !interrupted()) {
    struct prewarm_job *job = &work->jobs[work->next++];
    pthread_mutex_unlock(&work->lock);
    if (!job->hopeless) run_job(work, job);
    pthread_mutex_lock(&work->lock);
  }
  --work->threads;
  pthread_cond_signal(&work->ended);
  pthread_mutex_unlock(&work->lock);
  return NULL;
}

/*
 * Waits until the threads have ended. After a signal it gives them half a second: an NVRTC that
 * does not ask whether to stop ends with the process. Leaves the lock taken, so that such a thread
 * changes nothing any more.
 */
static void wait_for_threads(struct prewarm *work) {
  enum { PATIENCE_MICROSECONDS = 500000 };
  double noted = 0;
  pthread_mutex_lock(&work->lock);
  while (work->threads > 0) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 50000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&work->ended, &work->lock, &until);
    if (interrupted() && noted == 0) noted = clock_microseconds();
    if (noted > 0 && clock_microseconds() - noted > PATIENCE_MICROSECONDS) break;
  }
}

/* Returns true if all threads have ended. */
static bool run_threads(struct prewarm *work) {
  pthread_attr_t detached;
  pthread_t thread;
  int64_t count = work->thread_count ? work->thread_count : sysconf(_SC_NPROCESSORS_ONLN);
  if (count > UDM_MAX_ARCHS) count = UDM_MAX_ARCHS;
  if (count > work->job_count) count = work->job_count;
  pthread_mutex_init(&work->lock, NULL);
  pthread_cond_init(&work->ended, NULL);
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  progress_start(&work->bar, "prewarm", work->job_count);
  progress_update(&work->bar, 0);
  pthread_mutex_lock(&work->lock);
  while (work->threads < count && pthread_create(&thread, &detached, work_on_jobs, work) == 0) {
    ++work->threads;
  }
  const bool none = work->threads == 0;
  if (none) work->threads = 1;
  pthread_mutex_unlock(&work->lock);
  if (none) work_on_jobs(work); /* all jobs run even if no thread starts */
  wait_for_threads(work);
  pthread_attr_destroy(&detached);
  progress_finish(&work->bar);
  return work->threads == 0;
}

static void fail_interrupted(struct prewarm *work) {
  for (int32_t i = 0; i < work->job_count; ++i) {
    struct prewarm_job *job = &work->jobs[i];
    if (job->finished || job->hopeless) continue;
    free(job->error);
    job->status = UDM_ERROR_CANCELLED;
    job->interrupted = true;
    job->error = strdup(i < work->next ? "interrupted while it was compiled"
                                       : "interrupted before it was compiled");
  }
}

void prewarm_run_jobs(struct prewarm *work) {
  work->abandoned = !run_threads(work);
  fail_interrupted(work);
}
