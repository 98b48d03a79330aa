/*
 * atomic_file.c: a file that appears when it is whole: see atomic_file.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(struct atomic_file *file, const char *name, const char *reason) {
  snprintf(file->error, sizeof file->error, "cannot write %s: %s", name, reason);
  return false;
}

/* The file's own path: a rename would replace a symbolic link, not what it points at. */
static bool resolve(struct atomic_file *file, const char *name, bool may_be_stdout) {
  char real[PATH_MAX];
  struct stat status;
  if (strlen(name) >= sizeof file->path) return fail(file, "FILE", strerror(ENAMETOOLONG));
  snprintf(file->path, sizeof file->path, "%s", name);
  if (stat(name, &status) != 0) {
    return errno == ENOENT ? true : fail(file, name, strerror(errno));
  }
  if (S_ISDIR(status.st_mode)) return fail(file, name, "it is a folder");
  if (!S_ISREG(status.st_mode)) {
    return fail(file, name,
                may_be_stdout ? "it is no regular file: write to standard output with -"
                              : "it is no regular file: name one, or a new file");
  }
  if (!realpath(name, real)) return fail(file, name, strerror(errno));
  snprintf(file->path, sizeof file->path, "%s", real);
  return true;
}

static bool open_stdout(struct atomic_file *file) {
  file->is_stdout = true;
  if (isatty(STDOUT_FILENO)) {
    return fail(file, "standard output", "it is a terminal: name a file, or pipe it somewhere");
  }
  fflush(stdout);
  file->descriptor = dup(STDOUT_FILENO);
  return file->descriptor >= 0 || fail(file, "standard output", strerror(errno));
}

bool atomic_file_open(struct atomic_file *file, const char *name, bool may_be_stdout) {
  unsigned long long random = 0;
  memset(file, 0, sizeof *file);
  file->descriptor = -1;
  if (may_be_stdout && strcmp(name, "-") == 0) return open_stdout(file);
  if (!resolve(file, name, may_be_stdout)) return false;
  if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
    return fail(file, name, strerror(errno));
  }
  snprintf(file->temporary, sizeof file->temporary, "%s.%016llx.tmp", file->path, random);
  /* the mode of any file that a user makes: what umask leaves */
  file->descriptor = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  return file->descriptor >= 0 || fail(file, name, strerror(errno));
}

bool atomic_file_write(struct atomic_file *file, const char *bytes, size_t size) {
  while (size > 0) {
    const ssize_t count = write(file->descriptor, bytes, size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return fail(file, file->is_stdout ? "standard output" : file->path, strerror(errno));
    bytes += count;
    size -= (size_t)count;
  }
  return true;
}

/* So that the name is not lost when the machine stops; that it may fail is no matter. */
static void sync_folder(const char *path) {
  char copy[UDM_PATH_SIZE];
  snprintf(copy, sizeof copy, "%s", path);
  const int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  fsync(folder);
  close(folder);
}

bool atomic_file_keep(struct atomic_file *file) {
  const int descriptor = file->descriptor;
  const char *name = file->is_stdout ? "standard output" : file->path;
  const bool synced = file->is_stdout || fsync(descriptor) == 0;
  int error = synced ? 0 : errno;
  if (close(descriptor) != 0 && !error) error = errno;
  file->descriptor = -1;
  if (!error && !file->is_stdout && rename(file->temporary, file->path) != 0) error = errno;
  if (!error) {
    if (!file->is_stdout) sync_folder(file->path);
    return true;
  }
  if (!file->is_stdout) unlink(file->temporary);
  return fail(file, name, strerror(error));
}

void atomic_file_discard(struct atomic_file *file) {
  if (file->descriptor < 0) return;
  close(file->descriptor);
  file->descriptor = -1;
  if (!file->is_stdout) unlink(file->temporary);
}
