/*
 * cache_file.c: reads and publishes one file of a cache folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "status.h"

/* No cubin of this kernel comes near it; a file that does is not one. */
enum { LARGEST_ENTRY = 64 << 20 };

static const char *read_all(int file, unsigned char *bytes, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t count = read(file, bytes + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return strerror(errno);
    if (count == 0) return "it became shorter while it was read";
    done += (size_t)count;
  }
  return NULL;
}

const char *udm_cache_file_read(int folder, const char *name, unsigned char **bytes, size_t *size,
                                char reason[UDM_REASON_SIZE]) {
  const char *problem = NULL;
  unsigned char *buffer = NULL;
  struct stat status;
  /* O_NONBLOCK: opening a FIFO must not wait for a writer */
  const int file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) {
    problem = errno == ELOOP ? "it is a symbolic link, which is not followed" : strerror(errno);
    goto done;
  }
  if (fstat(file, &status) != 0) {
    problem = strerror(errno);
  } else if (!S_ISREG(status.st_mode)) {
    problem = "not a regular file";
  } else if (status.st_size > LARGEST_ENTRY) {
    problem = "too large for an entry";
  }
  if (problem) goto done;

  *size = (size_t)status.st_size;
  buffer = malloc(*size + 1); /* an empty file is a case for the decoder */
  problem = buffer ? read_all(file, buffer, *size) : "out of host memory";
  if (problem) goto done;
  *bytes = buffer;
  buffer = NULL;

done:
  if (problem) {
    snprintf(reason, UDM_REASON_SIZE, "%s", problem);
    problem = reason;
  }
  free(buffer);
  if (file >= 0) close(file);
  return problem;
}

static int write_all(int file, const unsigned char *bytes, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t count = write(file, bytes + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return -1;
    done += (size_t)count;
  }
  return 0;
}

udm_status udm_cache_file_publish(int folder, const char *name, const void *bytes, size_t size) {
  static atomic_uint serial;
  char temporary[64];
  const char *call = NULL;
  snprintf(temporary, sizeof temporary, ".udm-%ld-%u.tmp", (long)getpid(),
           atomic_fetch_add(&serial, 1));
  /* left by an earlier process of the same number: nobody else may use that name now */
  unlinkat(folder, temporary, 0);
  int file = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) {
    return udm_fail_errno(UDM_ERROR_CACHE, errno, "openat(%s) in the cache folder", temporary);
  }
  if (write_all(file, bytes, size) != 0) {
    call = "write";
  } else if (fsync(file) != 0) {
    call = "fsync";
  }
  int error = errno;
  if (close(file) != 0 && !call) {
    call = "close";
    error = errno;
  }
  if (!call && renameat(folder, temporary, folder, name) != 0) {
    call = "renameat";
    error = errno;
  }
  if (call) {
    unlinkat(folder, temporary, 0);
    return udm_fail_errno(UDM_ERROR_CACHE, error, "%s of the cache entry %s", call, name);
  }
  fsync(folder); /* the entry is in place; that it also survives a power cut is a favour */
  return UDM_OK;
}
