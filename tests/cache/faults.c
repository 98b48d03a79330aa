/*
 * faults.c: the wrapped system calls.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <unistd.h>

static struct fault_plan plan;
static bool armed;
static long count;
static const char *befell;
static enum lock_behaviour locks;
static int lock_error;
static bool skips_fsync;

void faults_arm(const struct fault_plan *new_plan) {
  plan = *new_plan;
  count = 0;
  befell = NULL;
  armed = true;
}

long faults_disarm(void) {
  armed = false;
  return count;
}

const char *faults_befell(void) { return befell; }

void faults_skip_fsync(void) { skips_fsync = true; }

void faults_set_locks(enum lock_behaviour behaviour, int error) {
  locks = behaviour;
  lock_error = error;
}

/* Returns true, with errno set, if the call is to fail. */
static bool fails(const char *call) {
  if (!armed || (plan.only && strcmp(plan.only, call) != 0)) return false;
  ++count;
  if (plan.from_then_on ? count < plan.at : count != plan.at) return false;
  befell = call;
  if (plan.action == FAULT_KILL) kill(getpid(), SIGKILL);
  if (plan.action == FAULT_STOP) kill(getpid(), SIGSTOP);
  errno = plan.error;
  return plan.action == FAULT_ERROR;
}

/* result type, name, result on failure, parameters, arguments */
#define WRAP(result, name, failed, parameters, arguments) \
  result __real_##name parameters;                        \
  result __wrap_##name parameters;                        \
  result __wrap_##name parameters { return fails(#name) ? (failed) : __real_##name arguments; }

WRAP(ssize_t, read, -1, (int file, void *bytes, size_t size), (file, bytes, size))
WRAP(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
WRAP(int, unlinkat, -1, (int folder, const char *name, int flags), (folder, name, flags))
WRAP(int, renameat, -1, (int folder, const char *from, int to_folder, const char *to),
     (folder, from, to_folder, to))
WRAP(int, fstat, -1, (int file, struct stat *status), (file, status))
WRAP(int, fstatat, -1, (int folder, const char *name, struct stat *status, int flags),
     (folder, name, status, flags))
WRAP(int, fstatfs, -1, (int file, struct statfs *system), (file, system))
WRAP(int, utimensat, -1, (int folder, const char *name, const struct timespec times[2], int flags),
     (folder, name, times, flags))
WRAP(DIR *, fdopendir, NULL, (int file), (file))
WRAP(struct dirent *, readdir, NULL, (DIR * listing), (listing))
WRAP(ssize_t, getrandom, -1, (void *bytes, size_t size, unsigned flags), (bytes, size, flags))

/* Memory runs out only if the plan names malloc. */
static bool allocation_fails(void) {
  return plan.only && strcmp(plan.only, "malloc") == 0 && fails("malloc");
}

#define WRAP_ALLOCATION(result, name, parameters, arguments) \
  result __real_##name parameters;                           \
  result __wrap_##name parameters;                           \
  result __wrap_##name parameters { return allocation_fails() ? NULL : __real_##name arguments; }

WRAP_ALLOCATION(void *, malloc, (size_t size), (size))
WRAP_ALLOCATION(void *, calloc, (size_t count_of, size_t size), (count_of, size))
WRAP_ALLOCATION(void *, realloc, (void *memory, size_t size), (memory, size))
WRAP_ALLOCATION(char *, strdup, (const char *text), (text))

int __real_fsync(int file);
int __wrap_fsync(int file);
int __wrap_fsync(int file) {
  if (fails("fsync")) return -1;
  return skips_fsync ? 0 : __real_fsync(file);
}

/* A failing write has written half, except with EINTR, which means that nothing was written. */
ssize_t __real_write(int file, const void *bytes, size_t size);
ssize_t __wrap_write(int file, const void *bytes, size_t size);
ssize_t __wrap_write(int file, const void *bytes, size_t size) {
  if (!fails("write")) return __real_write(file, bytes, size);
  const int error = errno;
  const ssize_t written = error == EINTR ? 0 : __real_write(file, bytes, size / 2);
  errno = error;
  return written > 0 && plan.from_then_on && count == plan.at ? written : -1;
}

/* The descriptor is closed even if close() fails. */
int __real_close(int file);
int __wrap_close(int file);
int __wrap_close(int file) {
  const bool failed = fails("close");
  const int error = errno;
  const int result = __real_close(file);
  if (!failed) return result;
  errno = error;
  return -1;
}

static mode_t mode_of(int flags, va_list arguments) {
  return flags & O_CREAT ? (mode_t)va_arg(arguments, unsigned) : 0;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return fails("open") ? -1 : __real_open(path, flags, mode);
}

int __real_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return fails("openat") ? -1 : __real_openat(folder, path, flags, mode);
}

int __real_fcntl(int file, int command, ...);
int __wrap_fcntl(int file, int command, ...);

static int set_lock(int file, int command, struct flock *lock) {
  if (locks == LOCKS_FOR_EVERYONE) return 0;
  if (locks == LOCKS_WORK) return __real_fcntl(file, command, lock);
  errno = lock_error;
  return -1;
}

int __wrap_fcntl(int file, int command, ...) {
  int result = -1;
  va_list arguments;
  va_start(arguments, command);
  if (!fails("fcntl")) {
    result = command == F_OFD_SETLK ? set_lock(file, command, va_arg(arguments, struct flock *))
                                    : __real_fcntl(file, command, va_arg(arguments, int));
  }
  va_end(arguments);
  return result;
}
