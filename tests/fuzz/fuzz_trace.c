/*
 * fuzz_trace.c: the readers of request traces. Any bytes are a trace or get a reason. The
 * target also tries them behind a CSV header and behind a JSON line, so that every input
 * reaches both readers, and what jansson reads as an object with two counts must be read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>
#include <string.h>

#include "fuzz_target.h"
#include "replay/trace/trace.h"

static bool read_trace(const void *bytes, size_t size, struct request_trace *trace) {
  char error[512] = "";
  const bool done = trace_read_memory(bytes, size, trace, error, sizeof error);
  FUZZ_CHECK(done == (error[0] == '\0'));
  FUZZ_CHECK(done == (trace->count > 0));
  FUZZ_CHECK(done || (!trace->requests && trace->failed == 0));
  for (size_t i = 0; i < trace->count; ++i) {
    const struct trace_request request = trace->requests[i];
    FUZZ_CHECK(request.input_length >= 0 && request.output_length > 0);
    FUZZ_CHECK(request.output_length <= INT32_MAX - request.input_length);
  }
  return done;
}

static void read_behind(const char *start, const uint8_t *data, size_t size) {
  struct request_trace trace;
  const size_t length = strlen(start);
  char *bytes = malloc(length + size);
  FUZZ_CHECK(bytes);
  for (size_t i = 0; i < length; ++i) bytes[i] = start[i]; /* a trace has no 0 at its end */
  if (size > 0) memcpy(bytes + length, data, size);
  read_trace(bytes, length + size, &trace);
  trace_free(&trace);
  free(bytes);
}

static bool is_count(const json_t *value) {
  return json_is_integer(value) && json_integer_value(value) > 0 &&
         json_integer_value(value) < 1 << 30;
}

/* A key that is written with escapes is another key to the reader: no tool writes one. */
static void compare_with_jansson(const uint8_t *data, size_t size) {
  struct request_trace trace;
  json_t *object = json_loadb((const char *)data, size, 0, NULL);
  const json_t *input = json_object_get(object, "input_length");
  const json_t *output = json_object_get(object, "output_length");
  const bool one_line = size > 0 && data[0] == '{' && !memchr(data, '\n', size);
  if (one_line && !memchr(data, '\\', size) && is_count(input) && is_count(output)) {
    FUZZ_CHECK(read_trace(data, size, &trace));
    FUZZ_CHECK(trace.count == 1);
    FUZZ_CHECK(trace.requests[0].input_length == json_integer_value(input));
    FUZZ_CHECK(trace.requests[0].output_length == json_integer_value(output));
    trace_free(&trace);
  }
  json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct request_trace trace;
  read_trace(data, size, &trace);
  trace_free(&trace);
  read_behind("ContextTokens,GeneratedTokens\n1,1\n", data, size);
  read_behind("{\"input_length\":1,\"output_length\":1}\n", data, size);
  compare_with_jansson(data, size);
  return 0;
}
