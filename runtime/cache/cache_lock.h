/*
 * cache_lock.h: the locks of a cache folder. All are advisory locks of open
 * file descriptions: threads exclude each other as processes do, the system
 * drops them when the holder dies, and no lock file is ever removed, so none can
 * vanish under a waiter. Nothing depends on them but work saved: where they do
 * not work, a kernel is compiled more than once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CACHE_CACHE_LOCK_H
#define UDM_RUNTIME_CACHE_CACHE_LOCK_H

#include <sys/types.h>

#include "cache/cache_entry.h"
#include "core/options.h"

#define UDM_CACHE_LOCK_FILE ".lock"

/* file < 0: not held. */
struct cache_lock {
  int file;
  off_t start;
};
#define UDM_CACHE_LOCK_INIT \
  { -1, 0 }

enum cache_lock_outcome {
  CACHE_LOCKED, /* at once */
  CACHE_LOCKED_AFTER_WAIT,
  CACHE_LOCK_TIMED_OUT,   /* another one holds it for longer than the settings allow */
  CACHE_LOCK_UNAVAILABLE, /* no folder to lock in, or a file system without locks */
};

/*
 * Takes the lock under which the entries of the key's material are made, in the
 * writable layer. Waits while another process or thread has it.
 */
enum cache_lock_outcome udm_cache_lock_key(const struct settings *settings,
                                           const struct cache_key *key, struct cache_lock *lock);

/* Takes the lock of whoever removes entries of the open folder; false, at once, when taken. */
bool udm_cache_lock_removals(int folder, struct cache_lock *lock);

/* Nothing happens when it is not held. */
void udm_cache_unlock(struct cache_lock *lock);

/* Marks an open file as being read (or written) until it is closed. It may fail unseen. */
void udm_cache_mark_in_use(int file, bool writing);

/*
 * Whether an open file is marked. When it is not, no mark can be set before it is
 * closed, as far as it could be opened for writing.
 */
enum cache_use { CACHE_NOT_IN_USE, CACHE_IN_USE, CACHE_USE_UNKNOWN };
enum cache_use udm_cache_claim(int file);

/* Whether locks are known not to work on a file system (statfs f_type). */
bool udm_cache_has_no_locks(long file_system_type);

#endif
