/*
 * trace_input.c: the bytes of a trace: see trace_input.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "trace_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_kind(int descriptor, mode_t kind) {
  struct stat about;
  return fstat(descriptor, &about) == 0 && (about.st_mode & S_IFMT) == kind;
}

/* Opens without waiting for the writer of a FIFO; what is there is read as usual. */
static int open_descriptor(const char *path) {
  if (strcmp(path, "-") == 0) return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
  const int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return -1;
  const int flags = fcntl(descriptor, F_GETFL);
  if (flags >= 0 && fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) == 0) return descriptor;
  close(descriptor);
  return -1;
}

/* The reader of the archive library: raw bytes, and none, behind the filters that udm reads. */
static struct trace_input *create(void) {
  struct trace_input *input = calloc(1, sizeof *input);
  if (!input) return NULL;
  input->descriptor = -1;
  input->archive = archive_read_new();
  if (input->archive) {
    archive_read_support_filter_gzip(input->archive);
    archive_read_support_filter_zstd(input->archive);
    archive_read_support_format_raw(input->archive);
    archive_read_support_format_empty(input->archive);
    return input;
  }
  free(input);
  return NULL;
}

/* Goes to the one member that raw bytes are; the first byte reports what fails here. */
static void start(struct trace_input *input, int opened) {
  struct archive_entry *entry = NULL;
  const int status =
      opened == ARCHIVE_OK ? archive_read_next_header(input->archive, &entry) : opened;
  input->failed = status < ARCHIVE_WARN;
  input->ended = input->failed || status == ARCHIVE_EOF;
}

struct trace_input *trace_input_open(const char *path, char *error, size_t error_size) {
  struct trace_input *input = NULL;
  if (path[0] == '\0') {
    snprintf(error, error_size, "TRACE is empty: give the path of a request trace");
    return NULL;
  }
  const int descriptor = open_descriptor(path);
  if (descriptor < 0) {
    snprintf(error, error_size, "%s: %s: give the path of a request trace", path, strerror(errno));
    return NULL;
  }
  if (is_kind(descriptor, S_IFDIR)) {
    snprintf(error, error_size, "%s: is a folder: give the path of a request trace in it", path);
  } else if (!(input = create())) {
    snprintf(error, error_size, "out of memory");
  }
  if (!input) {
    close(descriptor);
    return NULL;
  }
  input->descriptor = descriptor;
  start(input, archive_read_open_fd(input->archive, descriptor, sizeof input->buffer));
  return input;
}

struct trace_input *trace_input_open_memory(const void *bytes, size_t size, char *error,
                                            size_t error_size) {
  struct trace_input *input = create();
  if (!input) {
    snprintf(error, error_size, "out of memory");
    return NULL;
  }
  start(input, archive_read_open_memory(input->archive, bytes, size));
  return input;
}

int trace_input_next(struct trace_input *input) {
  if (input->at == input->count) {
    if (input->ended) return EOF;
    const la_ssize_t count = archive_read_data(input->archive, input->buffer, sizeof input->buffer);
    input->failed = count < 0;
    input->ended = count <= 0;
    input->at = 0;
    input->count = count > 0 ? (size_t)count : 0;
    if (count <= 0) return EOF;
  }
  return (unsigned char)input->buffer[input->at++];
}

bool trace_input_is_pipe(const struct trace_input *input) {
  return input->descriptor >= 0 && is_kind(input->descriptor, S_IFIFO);
}

void trace_input_close(struct trace_input *input) {
  if (!input) return;
  archive_read_free(input->archive);
  if (input->descriptor >= 0) close(input->descriptor);
  free(input);
}
