/*
 * cache_lock.c: takes and drops the locks of a cache folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cache/cache.h"
#include "core/clock.h"
#include "core/counters.h"

#ifndef F_OFD_SETLK /* the headers of glibc before 2.20; Linux has it since 3.15 */
#define F_OFD_SETLK 37
#endif

/* Byte 0 of the lock file is the lock of removals; the other bytes are the locks of keys. */
enum { REMOVALS = 0, FIRST_KEY = 1 };

/* Fits the smallest range of any lock protocol (31 bits). Keys that share a byte wait in turn. */
static off_t byte_of(const struct cache_key *key) {
  return FIRST_KEY + (off_t)(XXH3_64bits(key->text, strlen(key->text)) & 0x3fffffffu);
}

static int set_lock(int file, short type, off_t start, off_t length) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length; /* 0: to the end of the file, even if it grows */
  int result;
  do {
    result = fcntl(file, F_OFD_SETLK, &lock);
  } while (result != 0 && errno == EINTR);
  return result;
}

static bool is_taken(int error) { return error == EAGAIN || error == EACCES; }

bool udm_cache_has_no_locks(long file_system_type) {
  switch (file_system_type) {
    case 0x5346414F: /* AFS: byte-range locks hold on one machine only, if at all */
    case 0x6B414653:
    case 0x73757245: /* Coda */
      return true;
    default:
      return false;
  }
}

/* Opens the folder's lock file, or creates it. Returns -1 and errno on failure. */
static int open_lock_file(const struct cache_dir *dir) {
  struct statfs system;
  struct stat status;
  if (fstatfs(dir->fd, &system) == 0 && udm_cache_has_no_locks((long)system.f_type)) {
    errno = ENOLCK;
    return -1;
  }
  const int file = openat(dir->fd, UDM_CACHE_LOCK_FILE,
                          O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  if (file >= 0 && (fstat(file, &status) != 0 || !S_ISREG(status.st_mode))) {
    close(file);
    errno = EINVAL;
    return -1;
  }
  return file;
}

/*
 * Polls: only a signal can end a wait in the system, and a library must not use the signals of
 * its process.
 */
static enum cache_lock_outcome wait_for(const struct settings *settings, struct cache_lock *lock) {
  const double deadline = udm_clock_seconds() + settings->cache_lock_seconds;
  struct timespec pause = {0, 1000000};
  while (udm_clock_seconds() < deadline) {
    if (udm_should_stop(settings, UDM_ACTIVITY_WAITING)) return CACHE_LOCK_CANCELLED;
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
  udm_log(settings, UDM_LOG_INFO, "waiting for another process or thread that is building %s",
          key->arch_name);
  return wait_for(settings, lock);
}

static void close_lock(struct cache_lock *lock) {
  if (lock->file >= 0) close(lock->file);
  lock->file = -1;
}

enum cache_lock_outcome udm_cache_lock_key(const struct settings *settings,
                                           const struct cache_key *key, struct cache_lock *lock) {
  struct cache_dir dir = UDM_CACHE_DIR_INIT;
  char text[UDM_ERRNO_TEXT_SIZE];
  enum cache_lock_outcome outcome = CACHE_LOCK_UNAVAILABLE;
  lock->file = -1;
  lock->start = byte_of(key);
  udm_cache_dir_at(settings, 0, &dir);
  if (udm_cache_dir_open(&dir, true, NULL) == UDM_OK) {
    lock->file = open_lock_file(&dir);
    if (lock->file >= 0) outcome = take(settings, key, lock);
    if (outcome == CACHE_LOCK_UNAVAILABLE) {
      udm_log(settings, UDM_LOG_WARNING,
              "no lock in %s: %s; other processes may compile the same kernel", dir.path,
              udm_errno_text(errno, text));
    }
  }
  udm_cache_dir_close(&dir);
  if (outcome == CACHE_LOCK_TIMED_OUT) {
    udm_count(lock_timeouts);
    udm_log(
        settings, UDM_LOG_WARNING,
        "%s: another process has been building it for %u s (UDM_CACHE_LOCK_SECONDS): building it "
        "here too",
        key->arch_name, settings->cache_lock_seconds);
  }
  if (outcome == CACHE_LOCK_UNAVAILABLE) udm_count(lock_failures);
  if (outcome != CACHE_LOCKED && outcome != CACHE_LOCKED_AFTER_WAIT) close_lock(lock);
  return outcome;
}

bool udm_cache_lock_removals(const struct cache_dir *dir, struct cache_lock *lock) {
  lock->start = REMOVALS;
  lock->file = open_lock_file(dir);
  if (lock->file < 0) return true; /* no locks here: removing a file twice does no harm */
  if (set_lock(lock->file, F_WRLCK, REMOVALS, 1) == 0 || !is_taken(errno)) return true;
  close_lock(lock);
  return false;
}

void udm_cache_unlock(struct cache_lock *lock) {
  /* closing is not enough: a process forked meanwhile has the file open, too */
  if (lock->file >= 0) set_lock(lock->file, F_UNLCK, lock->start, 1);
  close_lock(lock);
}

void udm_cache_mark_in_use(int file, bool writing) {
  set_lock(file, writing ? F_WRLCK : F_RDLCK, 0, 0);
}

enum cache_use udm_cache_try_exclusive(int file) {
  if (set_lock(file, F_WRLCK, 0, 0) == 0) return CACHE_NOT_IN_USE;
  return is_taken(errno) ? CACHE_IN_USE : CACHE_USE_UNKNOWN;
}
