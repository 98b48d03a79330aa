/*
 * trace_input.h: the bytes of a trace: a file or standard input, plain or packed with gzip
 * or zstd, which the content tells.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_TRACE_TRACE_INPUT_H
#define UDM_TOOLS_REPLAY_TRACE_TRACE_INPUT_H

#include <archive.h>
#include <stdbool.h>
#include <stddef.h>

struct trace_input {
  struct archive *archive;
  int descriptor;
  size_t at; /* in the buffer */
  size_t count;
  bool ended;
  bool failed; /* archive_error_string() says why */
  char buffer[1 << 16];
};

/* Opens the file at path, or standard input if that is "-". NULL, with error, if it cannot. */
struct trace_input *trace_input_open(const char *path, char *error, size_t error_size);

/* The same for bytes in memory, which must outlive it. */
struct trace_input *trace_input_open_memory(const void *bytes, size_t size, char *error,
                                            size_t error_size);

/* The next byte; EOF at the end or, with input->failed, if there is no reading on. */
int trace_input_next(struct trace_input *input);

/* Whether it is a pipe. */
bool trace_input_is_pipe(const struct trace_input *input);

/* NULL is allowed. */
void trace_input_close(struct trace_input *input);

#endif
