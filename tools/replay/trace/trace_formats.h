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

#endif
