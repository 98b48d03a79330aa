/*
 * trace_contents.h: a request trace that was read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_TRACE_TRACE_CONTENTS_H
#define UDM_TOOLS_REPLAY_TRACE_TRACE_CONTENTS_H

#include <stddef.h>
#include <stdint.h>

struct trace_request {
  int32_t input_length;  /* input_length + output_length <= INT32_MAX */
  int32_t output_length; /* at least 1 */
};

struct request_trace {
  const char *format; /* "CSV", "JSON lines" */
  struct trace_request *requests;
  size_t count;
  size_t failed; /* requests with 0 output tokens, which are not among the others */
};

#define TRACE_INIT \
  { NULL, NULL, 0, 0 }

#endif
