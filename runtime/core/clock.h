/*
 * clock.h: the monotonic clock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CORE_CLOCK_H
#define UDM_RUNTIME_CORE_CLOCK_H

#include <time.h>

static inline double udm_clock_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#endif
