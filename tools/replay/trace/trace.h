/*
 * trace.h: a request trace: how long every request's prompt and answer are, in order of
 * arrival. Two formats are read, told apart by their content: CSV with a header, and JSON
 * lines. README.md lists whose traces have which names for the two counts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_TRACE_TRACE_H
#define UDM_TOOLS_REPLAY_TRACE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace_contents.h"

/*
 * Reads the file at path, or standard input if that is "-"; either may be packed with gzip
 * or zstd. On failure *trace is empty and error says what is wrong, on which line, and what
 * to do. A trace that is read has a request.
 */
bool trace_read(const char *path, struct request_trace *trace, char *error, size_t error_size);

/* The same for the bytes of a trace. */
bool trace_read_memory(const void *bytes, size_t size, struct request_trace *trace, char *error,
                       size_t error_size);

/* What messages call the trace at path. */
const char *trace_name(const char *path);

void trace_free(struct request_trace *trace);

/* Tokens of the longest request. */
int32_t trace_longest(const struct request_trace *trace);

#endif
