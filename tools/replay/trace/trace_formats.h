/*
 * trace_formats.h: the formats that trace.c reads: how each turns one line into a request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_TRACE_TRACE_FORMATS_H
#define UDM_TOOLS_REPLAY_TRACE_TRACE_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRACE_MAX_COLUMNS = 256 };

/* Where a CSV header has the two columns. */
struct trace_csv_columns {
  int input;
  int output;
  int count;
};

/* The two numbers of a line, before anyone looked at their size. */
struct trace_lengths {
  int64_t input;
  int64_t output;
};

/*
 * Each works on a line without its newline, may change it, and on failure
 * writes into error what is wrong with it, without file or line number.
 */
bool trace_csv_header(char *line, struct trace_csv_columns *columns, char *error, size_t size);
bool trace_csv_line(char *line, const struct trace_csv_columns *columns,
                    struct trace_lengths *lengths, char *error, size_t size);
bool trace_json_line(char *line, struct trace_lengths *lengths, char *error, size_t size);

#endif
