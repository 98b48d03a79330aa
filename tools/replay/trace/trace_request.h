/*
 * trace_request.h: the requests of a trace while it is read: the names that tools give to a
 * request's two token counts, what a token count looks like, and the list that grows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_TRACE_TRACE_REQUEST_H
#define UDM_TOOLS_REPLAY_TRACE_TRACE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace_contents.h"

/* What one kind of trace calls the two counts, in a CSV header as in JSON. */
struct trace_names {
  const char *input;
  const char *output;
};

enum { TRACE_NAMES = 7 };
extern const struct trace_names trace_names[TRACE_NAMES];

struct trace_reading {
  struct request_trace *trace;
  size_t capacity; /* of trace->requests */
  char fault[512]; /* of the line at hand, without file or line number */
};

/* Sets the fault; returns false. */
bool trace_fault(struct trace_reading *reading, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Reads text[0 .. length) as the count called name. 40160.0 is a whole number, 40160.5 is none. */
bool trace_number(struct trace_reading *reading, const char *name, const char *text, size_t length,
                  int64_t *number);

/* Adds a request, or counts it as failed if it has no output. */
bool trace_add(struct trace_reading *reading, int64_t input, int64_t output);

#endif
