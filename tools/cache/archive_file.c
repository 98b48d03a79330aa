/*
 * The file that an archive is written to: see archive_file.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "archive_file.h"

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

static bool fail(archive_file *file, const char *name, const char *reason) {
  snprintf(file->error, sizeof(file->error), "cannot write %s: %s", name, reason);
  return false;
}

/* The file's own path: a rename would replace a symbolic link, not what it points at. */
static bool resolve(archive_file *file, const char *name) {
  char real[PATH_MAX];
  struct stat status;
  if (strlen(name) >= sizeof(file->path)) return fail(file, "FILE", strerror(ENAMETOOLONG));
  snprintf(file->path, sizeof(file->path), "%s", name);
  if (stat(name, &status) != 0) {
    return errno == ENOENT ? true : fail(file, name, strerror(errno));
  }
  if (S_ISDIR(status.st_mode)) return fail(file, name, "it is a folder");
  if (!S_ISREG(status.st_mode)) {
    return fail(file, name, "it is no regular file: write to standard output with -");
  }
  if (!realpath(name, real)) return fail(file, name, strerror(errno));
  snprintf(file->path, sizeof(file->path), "%s", real);
  return true;
}

static bool open_stdout(archive_file *file) {
  file->is_stdout = true;
  if (isatty(STDOUT_FILENO)) {
    return fail(file, "standard output", "it is a terminal: name a file, or pipe it somewhere");
  }
  fflush(stdout);
  file->descriptor = dup(STDOUT_FILENO);
  return file->descriptor >= 0 || fail(file, "standard output", strerror(errno));
}

bool archive_file_open(archive_file *file, const char *name) {
  unsigned long long random = 0;
  memset(file, 0, sizeof(*file));
  file->descriptor = -1;
  if (strcmp(name, "-") == 0) return open_stdout(file);
  if (!resolve(file, name)) return false;
  if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
    return fail(file, name, strerror(errno));
  }
  snprintf(file->temporary, sizeof(file->temporary), "%s.%016llx.tmp", file->path, random);
  /* the mode of any file that a user makes: what umask leaves */
  file->descriptor = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  return file->descriptor >= 0 || fail(file, name, strerror(errno));
}

/* So that the name is not lost when the machine stops; that it may fail is no matter. */
static void sync_folder(const char *path) {
  char copy[UDM_PATH_SIZE];
  snprintf(copy, sizeof(copy), "%s", path);
  const int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  fsync(folder);
  close(folder);
}

bool archive_file_keep(archive_file *file) {
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

void archive_file_discard(archive_file *file) {
  if (file->descriptor < 0) return;
  close(file->descriptor);
  file->descriptor = -1;
  if (!file->is_stdout) unlink(file->temporary);
}
