/*
 * prewarm.h: udm prewarm: its jobs, and how their results are reported.
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
  const nvrtc_found *nvrtc; /* NULL: none knows the architecture */
  udm_prewarm_result result;
  char *error;    /* NULL: none */
  bool not_begun; /* interrupted before it */
};

struct prewarm {
  udm_options options;
  const char *arch_list; /* NULL: native, without a GPU all */
  int64_t thread_count;  /* 0: as many as there are processors */
  uint32_t flags;
  bool json;
  nvrtc_list nvrtcs;
  int32_t newest_major; /* of CUDA, of the NVRTCs that are preferred; 0: any */
  struct prewarm_job jobs[UDM_MAX_ARCHS];
  int32_t job_count;
  pthread_mutex_t lock; /* of the next three */
  int32_t next;
  int32_t done;
  struct progress_bar bar;
};

/* Prints what became of the jobs; returns the exit code. */
int prewarm_report(const struct prewarm *work);

#endif
