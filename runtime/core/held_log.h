/*
 * held_log.h: log lines that wait while a lock of the cache is held. The host's
 * callback may throw or jump: no other process must then wait for that lock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CORE_HELD_LOG_H
#define UDM_RUNTIME_CORE_HELD_LOG_H

#include "core/settings.h"

struct held_log {
  struct settings settings; /* for the work under the lock: as the caller's, but lines are kept */
  const struct settings *caller; /* NULL: nothing is held */
  char *lines;                   /* each a byte for the level, the text and its 0 */
  size_t size;
};
#define UDM_HELD_LOG_INIT \
  { .caller = NULL }

/* The caller's settings must outlive the held log, which must not move. */
void udm_hold_log(const struct settings *settings, struct held_log *held);

/* Passes the lines on, after the lock was dropped. Does nothing if nothing is held. */
void udm_release_log(struct held_log *held);

#endif
