/*
 * cache_file.c: reads and publishes one file of a cache folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "status.h"

/* No cubin of this kernel comes near it; a file that does is not one. */
enum { LARGEST_ENTRY = 64 << 20 };

enum { TEMPORARY_NAME_SIZE = 40 };

static const char *read_all(int file, unsigned char *bytes, size_t size,
                            char text[UDM_ERRNO_TEXT_SIZE]) {
  size_t done = 0;
  while (done < size) {
    const ssize_t count = read(file, bytes + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return udm_errno_text(errno, text);
    if (count == 0) return "it became shorter while it was read";
    done += (size_t)count;
  }
  return NULL;
}

const char *udm_cache_file_read(const struct cache_layer *layer, int folder, const char *name,
                                unsigned char **bytes, size_t *size, char reason[UDM_REASON_SIZE]) {
  char text[UDM_ERRNO_TEXT_SIZE];
  const char *problem = NULL;
  unsigned char *buffer = NULL;
  struct stat status;
  /* O_NONBLOCK: opening a FIFO must not wait for a writer */
  const int file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) {
    problem = errno == ELOOP ? "it is a symbolic link, which is not followed"
                             : udm_errno_text(errno, text);
    goto done;
  }
  if (fstat(file, &status) != 0) {
    problem = udm_errno_text(errno, text);
  } else if (!S_ISREG(status.st_mode)) {
    problem = "not a regular file";
  } else if ((problem = udm_cache_distrust(layer, &status)) != NULL) {
    goto done;
  } else if (status.st_size > LARGEST_ENTRY) {
    problem = "too large for an entry";
  }
  if (problem) goto done;

  *size = (size_t)status.st_size;
  buffer = malloc(*size + 1); /* an empty file is a case for the decoder */
  problem = buffer ? read_all(file, buffer, *size, text) : "out of host memory";
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

/*
 * A file that nobody else has, whatever their machine, container or process
 * number. Returns its descriptor, or -1 and errno.
 */
static int create_temporary(int folder, char name[TEMPORARY_NAME_SIZE]) {
  for (int attempt = 0; attempt < 8; ++attempt) {
    unsigned char random[12];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) return -1;
    int length = snprintf(name, TEMPORARY_NAME_SIZE, ".udm-");
    for (size_t i = 0; i < sizeof random; ++i) {
      length += snprintf(name + length, TEMPORARY_NAME_SIZE - (size_t)length, "%02x", random[i]);
    }
    snprintf(name + length, TEMPORARY_NAME_SIZE - (size_t)length, ".tmp");
    const int file =
        openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file >= 0 || errno != EEXIST) return file;
  }
  return -1;
}

/* Returns NULL, or the call that failed, with its errno in *error. */
static const char *write_and_rename(int folder, int file, const char *temporary, const char *name,
                                    const void *bytes, size_t size, int *error) {
  const char *call = NULL;
  if (write_all(file, bytes, size) != 0) {
    call = "write";
  } else if (fsync(file) != 0) {
    call = "fsync";
  }
  *error = errno;
  if (close(file) != 0 && !call) {
    call = "close";
    *error = errno;
  }
  if (!call && renameat(folder, temporary, folder, name) != 0) {
    call = "renameat";
    *error = errno;
  }
  return call;
}

udm_status udm_cache_file_publish(const struct cache_layer *layer, int folder, const char *name,
                                  const void *bytes, size_t size) {
  char temporary[TEMPORARY_NAME_SIZE];
  const char *call = "creating a file";
  int error = 0;
  const int file = create_temporary(folder, temporary);
  if (file < 0) {
    error = errno;
  } else {
    call = write_and_rename(folder, file, temporary, name, bytes, size, &error);
    if (call) unlinkat(folder, temporary, 0);
  }
  if (call) {
    char text[UDM_ERRNO_TEXT_SIZE];
    return udm_fail(UDM_ERROR_CACHE,
                    "cache folder %s: %s: %s: make room and let this user write there, or name "
                    "another folder in UDM_CACHE_DIR",
                    layer->path, call, udm_errno_text(error, text));
  }
  fsync(folder); /* the entry is in place; that it also survives a power cut is a favour */
  return UDM_OK;
}
