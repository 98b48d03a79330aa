/*
 * prewarm.h: udm prewarm: its jobs and their results.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_PREWARM_PREWARM_H
#define UDM_TOOLS_PREWARM_PREWARM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "command/progress.h"
#include "nvrtc/nvrtc_list.h"
#include "udm.h"

struct prewarm_job {
  int32_t arch;
  udm_status status;
  const struct nvrtc_found *nvrtc; /* NULL: none knows the architecture */
  udm_prewarm_result result;
  char *error; /* NULL: none */
  bool finished;
  bool interrupted; /* a signal came before it was finished */
  bool hopeless;    /* no NVRTC here can do it: the error says so from the start */
};

/* Volta: the kernel does not run on older GPUs. */
enum { LOWEST_ARCH = 70 };

/* More would be more CUDA versions than a fleet has. */
enum { MOST_DRIVERS = 8, MOST_JOBS = UDM_MAX_ARCHS * MOST_DRIVERS };

struct prewarm {
  udm_options options;
  const char *arch_list; /* NULL: native, or all without a GPU */
  int64_t thread_count;  /* 0: one per processor */
  uint32_t flags;
  bool json;
  struct nvrtc_list nvrtcs;
  int32_t archs[UDM_MAX_ARCHS];
  int32_t arch_count;
  int32_t drivers[MOST_DRIVERS]; /* CUDA versions, 12080, whose drivers must take the images */
  int32_t driver_count;          /* 0: any driver */
  struct prewarm_job jobs[MOST_JOBS];
  int32_t job_count;
  bool abandoned;       /* after a signal: threads still compile */
  pthread_mutex_t lock; /* guards the rest and the jobs' results */
  pthread_cond_t ended; /* a thread ended */
  int32_t threads;      /* that still work */
  int32_t next;
  int32_t done;
  struct progress_bar bar;
};

/*
 * Per architecture one job for each driver, unless the same NVRTC serves two. With --arch all, what
 * the CUDA of a driver does not know is left out, but an NVRTC for that driver there must be.
 */
void prewarm_make_jobs(struct prewarm *work);

/* Returns once all are done, or some time after a signal: work->abandoned says which. */
void prewarm_run_jobs(struct prewarm *work);

/* Prints the results of the jobs. Returns the exit code. */
int prewarm_report(const struct prewarm *work);

#endif
