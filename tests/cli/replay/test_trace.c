/*
 * Reading traces that are right. Those that are not are cases of the command's
 * tests, where their messages are seen.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmocka_headers.h"
#include "replay/trace/trace.h"

/* Reads text as a trace; false, with error, when it is none. */
static bool read_text(const char *text, struct request_trace *trace, char *error, size_t size) {
  char path[] = "/tmp/udm-trace-XXXXXX";
  const int descriptor = mkstemp(path);
  assert_true(descriptor >= 0);
  FILE *file = fdopen(descriptor, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
  const bool done = trace_read(path, trace, error, size);
  unlink(path);
  return done;
}

static void expect_requests(const char *text, const char *format, const struct trace_request *want,
                            size_t count) {
  struct request_trace trace;
  char error[512] = "";
  if (!read_text(text, &trace, error, sizeof error)) fail_msg("%s", error);
  assert_string_equal(trace.format, format);
  assert_int_equal(trace.count, count);
  for (size_t i = 0; i < count; ++i) {
    assert_int_equal(trace.requests[i].input_length, want[i].input_length);
    assert_int_equal(trace.requests[i].output_length, want[i].output_length);
  }
  trace_free(&trace);
}

static void test_csv(void **state) {
  (void)state;
  const struct trace_request want[] = {{4808, 10}, {0, 0}, {2147483640, 7}};
  expect_requests(
      "TIMESTAMP,ContextTokens,GeneratedTokens\n"
      "2023-11-16 18:17:03.97,4808,10\n"
      "x,0,0\n"
      "y,2147483640,7",
      "CSV", want, 3);
}

static void test_csv_columns_are_found_by_name(void **state) {
  (void)state;
  const struct trace_request want[] = {{3, 1}};
  expect_requests(
      "GeneratedTokens, \"a, b\",\"ContextTokens\"\r\n1,\"say \"\"hi\"\", you\", 3 \r\n\n", "CSV",
      want, 1);
}

static void test_json_lines(void **state) {
  (void)state;
  const struct trace_request want[] = {{6758, 500}, {1, 2}};
  expect_requests(
      "\n  {\"timestamp\": 0, \"input_length\": 6758, \"output_length\": 500, \"hash_ids\": [0]}\n"
      "{\"output_length\": 2, \"input_length\": 1}\n\n",
      "JSON lines", want, 2);
}

static void test_error_names_the_line(void **state) {
  (void)state;
  struct request_trace trace;
  char error[512] = "";
  assert_false(read_text("ContextTokens,GeneratedTokens\n1,2\n\n3\n", &trace, error, sizeof error));
  assert_non_null(strstr(error, ":4: "));
  assert_null(trace.requests);
  assert_int_equal(trace.count, 0);
}

static void test_endless_line(void **state) {
  (void)state;
  const size_t length = (size_t)3 << 20;
  char *text = malloc(length + 1);
  struct request_trace trace;
  char error[512] = "";
  assert_non_null(text);
  memset(text, 'a', length);
  text[length] = '\0';
  assert_false(read_text(text, &trace, error, sizeof error));
  assert_non_null(strstr(error, ":1: the line is longer"));
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_csv),          cmocka_unit_test(test_csv_columns_are_found_by_name),
      cmocka_unit_test(test_json_lines),   cmocka_unit_test(test_error_names_the_line),
      cmocka_unit_test(test_endless_line),
  };
  return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
