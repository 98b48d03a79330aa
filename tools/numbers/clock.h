/*
 * clock.h: the monotonic clock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_NUMBERS_CLOCK_H
#define UDM_TOOLS_NUMBERS_CLOCK_H

#include <time.h>

/* Microseconds since some fixed moment. */
static inline double clock_microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e6 * (double)now.tv_sec + 1e-3 * (double)now.tv_nsec;
}

#endif
