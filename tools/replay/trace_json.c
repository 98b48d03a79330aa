/*
 * Trace lines in JSON: one object a line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "trace_format.h"

static bool read_number(const json_t *object, const char *name, int64_t *number, char *error,
                        size_t size) {
  const json_t *value = json_object_get(object, name);
  if (json_is_integer(value)) {
    *number = json_integer_value(value);
    return true;
  }
  snprintf(error, size, "%s is %s: correct or remove the line", name,
           value ? "not a whole number" : "missing");
  return false;
}

bool trace_json_line(char *line, struct trace_lengths *lengths, char *error, size_t size) {
  json_error_t reason;
  json_t *object = json_loads(line, 0, &reason);
  if (!object) {
    snprintf(error, size,
             "not valid JSON (%.80s, column %d): the line is truncated or damaged; correct or "
             "remove it",
             reason.text, reason.column);
    return false;
  }
  const bool done = read_number(object, "input_length", &lengths->input, error, size) &&
                    read_number(object, "output_length", &lengths->output, error, size);
  json_decref(object);
  return done;
}
