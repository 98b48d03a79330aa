/*
 * trace_formats.c: turns one line of a trace into a request. CSV: the columns are
 * found by the names in the header, fields may be quoted. JSON: one object per line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "trace_formats.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char input_column[] = "ContextTokens";
static const char output_column[] = "GeneratedTokens";

static char *trim(char *text) {
  text += strspn(text, " \t");
  size_t length = strlen(text);
  while (length > 0 && strchr(" \t", text[length - 1])) text[--length] = '\0';
  return text;
}

/* Ends the field that *rest starts with and moves *rest to the next one, NULL after the last. */
static char *next_field(char **rest) {
  char *field = *rest;
  char *out = field;
  bool quoted = false;
  char *in = field;
  for (; *in && (quoted || *in != ','); ++in) {
    if (*in != '"') {
      *out++ = *in;
    } else if (quoted && in[1] == '"') {
      *out++ = *in++;
    } else {
      quoted = !quoted;
    }
  }
  *rest = *in ? in + 1 : NULL;
  *out = '\0';
  return trim(field);
}

static int split(char *line, char *fields[TRACE_MAX_COLUMNS]) {
  int count = 0;
  for (char *rest = line; rest && count < TRACE_MAX_COLUMNS;) fields[count++] = next_field(&rest);
  return count;
}

bool trace_csv_header(char *line, struct trace_csv_columns *columns, char *error, size_t size) {
  char *fields[TRACE_MAX_COLUMNS];
  *columns = (struct trace_csv_columns){-1, -1, split(line, fields)};
  for (int i = 0; i < columns->count; ++i) {
    if (strcmp(fields[i], input_column) == 0) columns->input = i;
    if (strcmp(fields[i], output_column) == 0) columns->output = i;
  }
  if (columns->input >= 0 && columns->output >= 0) return true;
  snprintf(error, size,
           "neither a CSV header with the columns %s and %s nor a JSON object with input_length "
           "and output_length: give a trace in one of these formats",
           input_column, output_column);
  return false;
}

static bool read_csv_number(const char *name, const char *text, int64_t *number, char *error,
                            size_t size) {
  char *end = NULL;
  errno = 0;
  *number = strtoll(text, &end, 10);
  if (end != text && *end == '\0' && errno == 0) return true;
  snprintf(error, size, "%s is '%.40s', not a number of tokens: correct or remove the line", name,
           text);
  return false;
}

bool trace_csv_line(char *line, const struct trace_csv_columns *columns,
                    struct trace_lengths *lengths, char *error, size_t size) {
  char *fields[TRACE_MAX_COLUMNS];
  const int count = split(line, fields);
  if (count != columns->count) {
    snprintf(error, size,
             "%d fields where the header has %d: the line is truncated or damaged; correct or "
             "remove it",
             count, columns->count);
    return false;
  }
  return read_csv_number(input_column, fields[columns->input], &lengths->input, error, size) &&
         read_csv_number(output_column, fields[columns->output], &lengths->output, error, size);
}

static bool read_json_number(const json_t *object, const char *name, int64_t *number, char *error,
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
  const bool done = read_json_number(object, "input_length", &lengths->input, error, size) &&
                    read_json_number(object, "output_length", &lengths->output, error, size);
  json_decref(object);
  return done;
}
