/*
 * trace_csv.c: one line of a CSV trace. The columns are found by their names in the header,
 * fields may be quoted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "trace_formats.h"

#define NO_COLUMN ((size_t)-1)

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
  char *in = field;
  enum csv_place place = CSV_FIELD_START;
  for (; *in && (place == CSV_QUOTED || *in != ','); ++in) {
    const enum csv_place before = place;
    place = csv_place_after(place, *in);
    const bool is_text = *in != '"' || before == CSV_FIELD || before == CSV_QUOTE_CLOSED;
    if (is_text) *out++ = *in;
  }
  *rest = *in ? in + 1 : NULL;
  *out = '\0';
  return trim(field);
}

bool trace_csv_header(struct trace_reading *reading, char *line, struct trace_csv *csv) {
  size_t inputs[TRACE_NAMES];
  size_t outputs[TRACE_NAMES];
  memset(inputs, 0xff, sizeof inputs); /* NO_COLUMN */
  memset(outputs, 0xff, sizeof outputs);
  *csv = (struct trace_csv){NULL, 0, 0, 0};
  for (char *rest = line; rest; ++csv->columns) {
    const char *field = next_field(&rest);
    for (int i = 0; i < TRACE_NAMES; ++i) {
      if (strcmp(field, trace_names[i].input) == 0) inputs[i] = csv->columns;
      if (strcmp(field, trace_names[i].output) == 0) outputs[i] = csv->columns;
    }
  }
  for (int i = 0; i < TRACE_NAMES; ++i) {
    if (inputs[i] == NO_COLUMN || outputs[i] == NO_COLUMN) continue;
    csv->names = &trace_names[i];
    csv->input = inputs[i];
    csv->output = outputs[i];
    return true;
  }
  return trace_fault(reading,
                     "neither a CSV header nor a JSON object that names a request's token counts: "
                     "call the two columns ContextTokens and GeneratedTokens; 'udm replay --help' "
                     "lists what else is read");
}

bool trace_csv_line(struct trace_reading *reading, char *line, const struct trace_csv *csv) {
  const char *input_text = "";
  const char *output_text = "";
  size_t count = 0;
  int64_t input = 0;
  int64_t output = 0;
  for (char *rest = line; rest; ++count) {
    const char *field = next_field(&rest);
    if (count == csv->input) input_text = field;
    if (count == csv->output) output_text = field;
  }
  if (count != csv->columns) {
    return trace_fault(reading,
                       "%zu fields where the header has %zu: the line is truncated or damaged; "
                       "correct or remove it",
                       count, csv->columns);
  }
  return trace_number(reading, csv->names->input, input_text, strlen(input_text), &input) &&
         trace_number(reading, csv->names->output, output_text, strlen(output_text), &output) &&
         trace_add(reading, input, output);
}
