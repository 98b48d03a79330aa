/*
 * trace_request.c: the requests of a trace while it is read: see trace_request.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "trace_request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_REQUESTS ((size_t)100000000)

/* `udm replay --help` and the README of this folder list them, too. */
const struct trace_names trace_names[TRACE_NAMES] = {
    {"input_length", "output_length"},           /* Mooncake, Dynamo, Qwen-Bailian */
    {"ContextTokens", "GeneratedTokens"},        /* Azure */
    {"Request tokens", "Response tokens"},       /* BurstGPT */
    {"num_prefill_tokens", "num_decode_tokens"}, /* Vidur */
    {"input_lens", "output_lens"},               /* benchmarks of vLLM and SGLang */
    {"prompt_tokens", "completion_tokens"},      /* OpenAI */
    {"input_tokens", "output_tokens"},           /* OpenAI's Responses, Anthropic */
};

bool trace_fault(struct trace_reading *reading, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reading->fault, sizeof reading->fault, format, arguments);
  va_end(arguments);
  return false;
}

bool trace_number(struct trace_reading *reading, const char *name, const char *text, size_t length,
                  int64_t *number) {
  static const char characters[] = "0123456789+-.eE";
  enum { MOST_DIGITS = 63, SHOWN = 40 };
  const double largest = 9007199254740992.0; /* up to here a double has every whole number */
  char copy[MOST_DIGITS + 1];
  char *end = NULL;
  const char *fault = "not a number";
  snprintf(copy, sizeof copy, "%.*s", length < MOST_DIGITS ? (int)length : MOST_DIGITS, text);
  if (length == 0) return trace_fault(reading, "%s is empty: correct or remove the line", name);
  if (length <= MOST_DIGITS && strspn(copy, characters) == length) {
    errno = 0;
    *number = strtoll(copy, &end, 10);
    if (*end == '\0' && end != copy && errno == 0) return true;
    const double real = strtod(copy, &end);
    if (*end == '\0' && end != copy) {
      fault = real > largest || real < -largest ? "more than any request has" : NULL;
      if (!fault) *number = (int64_t)real;
      if (!fault && (double)*number == real) return true;
      if (!fault) fault = "not a whole number";
    }
  }
  return trace_fault(reading, "%s is '%.*s', %s: correct or remove the line", name, SHOWN, copy,
                     fault);
}

static bool append(struct trace_reading *reading, int64_t input, int64_t output) {
  struct request_trace *trace = reading->trace;
  if (trace->count == MOST_REQUESTS) {
    return trace_fault(reading, "more than %zu requests: cut the trace in pieces", MOST_REQUESTS);
  }
  if (trace->count == reading->capacity) {
    const size_t capacity = reading->capacity ? 2 * reading->capacity : 1024;
    struct trace_request *requests = realloc(trace->requests, capacity * sizeof *requests);
    if (!requests) return trace_fault(reading, "out of memory: cut the trace in pieces");
    trace->requests = requests;
    reading->capacity = capacity;
  }
  trace->requests[trace->count++] = (struct trace_request){(int32_t)input, (int32_t)output};
  return true;
}

bool trace_add(struct trace_reading *reading, int64_t input, int64_t output) {
  const char *fault = NULL;
  if (input < 0 || output < 0) {
    fault = "a length is negative";
  } else if (input > INT32_MAX || output > INT32_MAX - input) {
    fault = "more than 2147483647 together is absurd";
  }
  if (fault) {
    return trace_fault(reading,
                       "a request of %" PRId64 " input and %" PRId64
                       " output tokens: %s; correct or remove the line",
                       input, output, fault);
  }
  if (output > 0) return append(reading, input, output);
  ++reading->trace->failed;
  return true;
}
