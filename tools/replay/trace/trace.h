/*
 * trace.h: a request trace: how long every request's prompt and answer are, in order of
 * arrival. Two formats are read, told apart by their content: CSV with a header
 * that names ContextTokens and GeneratedTokens (Azure LLM inference traces), and
 * JSON lines with input_length and output_length (Mooncake traces).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_TRACE_TRACE_H
#define UDM_TOOLS_REPLAY_TRACE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_request {
  int32_t input_length; /* input_length + output_length <= INT32_MAX */
  int32_t output_length;
};

struct request_trace {
  const char *format; /* "CSV", "JSON lines" */
  struct trace_request *requests;
  size_t count;
};

#define TRACE_INIT \
  { NULL, NULL, 0 }

/*
 * Reads the file at path. On failure *trace is empty and error says what is
 * wrong, on which line, and what to do. A trace that is read has a request.
 */
bool trace_read(const char *path, struct request_trace *trace, char *error, size_t error_size);

void trace_free(struct request_trace *trace);

/* Tokens of the longest request. */
int32_t trace_longest(const struct request_trace *trace);

#endif
