/*
 * cache_lock.c: takes and drops the locks of a cache folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache/cache_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cache/cache_counters.h"
#include "cache/cache_folder.h"
#include "core/log.h"

/* Bytes of the lock file: the first is for removals, the others for keys. */
enum { REMOVALS = 0, FIRST_KEY = 1 };

/* Fits the smallest range that a lock protocol has (31 bits). Two keys on one byte only wait. */
static off_t byte_of(const struct cache_key *key) {
  return FIRST_KEY + (off_t)(XXH3_64bits(key->material, strlen(key->material)) & 0x3fffffffu);
}

static int set_lock(int file, short type, off_t start, off_t length) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length; /* 0: to the end of the file, however far it grows */
  int result;
  do {
    result = fcntl(file, F_OFD_SETLK, &lock);
  } while (result != 0 && errno == EINTR);
  return result;
}

static bool is_taken(int error) { return error == EAGAIN || error == EACCES; }

bool udm_cache_has_no_locks(long file_system_type) {
  switch (file_system_type) {
    case 0x5346414F: /* AFS: ranges of bytes are locked on one machine alone, if at all */
    case 0x6B414653:
    case 0x73757245: /* Coda */
      return true;
    default:
      return false;
  }
}

/* The folder's lock file, made when it is not there; -1 when it cannot be used. */
static int open_lock_file(int folder) {
  struct statfs system;
  struct stat status;
  if (fstatfs(folder, &system) == 0 && udm_cache_has_no_locks((long)system.f_type)) {
    errno = ENOLCK;
    return -1;
  }
  const int file = openat(folder, UDM_CACHE_LOCK_FILE,
                          O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  if (file >= 0 && (fstat(file, &status) != 0 || !S_ISREG(status.st_mode))) {
    close(file);
    errno = EINVAL;
    return -1;
  }
  return file;
}

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/*
 * Polls, because a lock that the system waits for cannot be given up after a
 * while without a signal, and a library must not use the process's signals.
 */
static enum cache_lock_outcome wait_for(const struct settings *settings, struct cache_lock *lock) {
  const double deadline = seconds_now() + settings->cache_lock_seconds;
  struct timespec pause = {0, 1000000};
  while (seconds_now() < deadline) {
    nanosleep(&pause, NULL);
    if (set_lock(lock->file, F_WRLCK, lock->start, 1) == 0) return CACHE_LOCKED_AFTER_WAIT;
    if (!is_taken(errno)) return CACHE_LOCK_UNAVAILABLE;
    if (pause.tv_nsec < 32000000) pause.tv_nsec *= 2;
  }
  return CACHE_LOCK_TIMED_OUT;
}

static enum cache_lock_outcome take(const struct settings *settings, const struct cache_key *key,
                                    struct cache_lock *lock) {
  if (set_lock(lock->file, F_WRLCK, lock->start, 1) == 0) return CACHE_LOCKED;
  if (!is_taken(errno)) return CACHE_LOCK_UNAVAILABLE;
  udm_count(lock_waits);
  udm_log(settings, UDM_LOG_INFO, "waiting for another process or thread that makes %s",
          key->label);
  return wait_for(settings, lock);
}

static void give_up(struct cache_lock *lock) {
  if (lock->file >= 0) close(lock->file);
  lock->file = -1;
}

enum cache_lock_outcome udm_cache_lock_key(const struct settings *settings,
                                           const struct cache_key *key, struct cache_lock *lock) {
  struct cache_layer layer;
  char reason[UDM_REASON_SIZE];
  char text[UDM_ERRNO_TEXT_SIZE];
  bool missing = false;
  enum cache_lock_outcome outcome = CACHE_LOCK_UNAVAILABLE;
  lock->file = -1;
  lock->start = byte_of(key);
  udm_cache_layer_at(settings, 0, &layer);
  const int folder = udm_cache_folder_open(&layer, true, reason, &missing);
  if (folder >= 0) {
    lock->file = open_lock_file(folder);
    if (lock->file >= 0) outcome = take(settings, key, lock);
    if (outcome == CACHE_LOCK_UNAVAILABLE) {
      udm_log(settings, UDM_LOG_WARNING,
              "no lock in %s: %s; other processes may compile the same kernel", layer.path,
              udm_errno_text(errno, text));
    }
    close(folder);
  }
  if (outcome == CACHE_LOCK_TIMED_OUT) {
    udm_count(lock_timeouts);
    udm_log(settings, UDM_LOG_WARNING,
            "%s: another process has been making it for %u s (UDM_CACHE_LOCK_SECONDS): making it "
            "here, too",
            key->label, settings->cache_lock_seconds);
  }
  if (outcome == CACHE_LOCK_UNAVAILABLE) udm_count(lock_failures);
  if (outcome == CACHE_LOCK_UNAVAILABLE || outcome == CACHE_LOCK_TIMED_OUT) give_up(lock);
  return outcome;
}

bool udm_cache_lock_removals(int folder, struct cache_lock *lock) {
  lock->start = REMOVALS;
  lock->file = open_lock_file(folder);
  if (lock->file < 0) return true; /* no locks here: removing twice does no harm */
  if (set_lock(lock->file, F_WRLCK, REMOVALS, 1) == 0 || !is_taken(errno)) return true;
  give_up(lock);
  return false;
}

void udm_cache_unlock(struct cache_lock *lock) {
  /* unlocked, not only closed: a process that was forked meanwhile has the file open, too */
  if (lock->file >= 0) set_lock(lock->file, F_UNLCK, lock->start, 1);
  give_up(lock);
}

void udm_cache_mark_in_use(int file, bool writing) {
  set_lock(file, writing ? F_WRLCK : F_RDLCK, 0, 0);
}

enum cache_use udm_cache_claim(int file) {
  if (set_lock(file, F_WRLCK, 0, 0) == 0) return CACHE_NOT_IN_USE;
  return is_taken(errno) ? CACHE_IN_USE : CACHE_USE_UNKNOWN;
}
