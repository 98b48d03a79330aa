/*
 * trace_formats.h: the formats that trace.c reads: how each turns one line into requests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_TRACE_TRACE_FORMATS_H
#define UDM_TOOLS_REPLAY_TRACE_TRACE_FORMATS_H

#include "trace_request.h"

/* Where a CSV header has the two counts. */
struct trace_csv {
  const struct trace_names *names;
  size_t input;
  size_t output;
  size_t columns;
};

/*
 * Each works on a line without its newline. False, with reading->fault, if something is
 * wrong with it. The CSV functions change the line.
 */
bool trace_csv_header(struct trace_reading *reading, char *line, struct trace_csv *csv);
bool trace_csv_line(struct trace_reading *reading, char *line, const struct trace_csv *csv);
bool trace_json_line(struct trace_reading *reading, const char *line);

/*
 * Where a CSV line is after a character (RFC 4180): a quote opens quotes only at the start of a
 * field, and a doubled one between quotes is text. Elsewhere a quote is text too.
 */
enum csv_place { CSV_FIELD_START, CSV_FIELD, CSV_QUOTED, CSV_QUOTE_CLOSED };

static inline enum csv_place csv_place_after(enum csv_place place, char c) {
  if (place == CSV_QUOTED) return c == '"' ? CSV_QUOTE_CLOSED : CSV_QUOTED;
  if (c == '"' && place != CSV_FIELD) return CSV_QUOTED;
  if (c == ',') return CSV_FIELD_START;
  if (place == CSV_FIELD_START && (c == ' ' || c == '\t')) return CSV_FIELD_START;
  return CSV_FIELD;
}

#endif
