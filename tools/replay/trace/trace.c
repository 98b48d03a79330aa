/*
 * trace.c: a request trace: see trace.h. Here are its lines and what is said of the whole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace_formats.h"
#include "trace_input.h"

/* A prompt of a million tokens comes with some 60,000 hashes: 1.3 MB. */
#define LONGEST_LINE ((size_t)64 << 20)

enum line_status {
  LINE,
  END_OF_FILE,
  LINE_TOO_LONG,
  LINE_BINARY,
  QUOTE_OPEN,
  NO_MEMORY,
  READ_ERROR
};

struct line_reader {
  struct trace_input *input;
  char *line; /* without its newline */
  size_t capacity;
  int64_t number; /* of the line, from 1 */
  int64_t next;   /* of the one after it: quotes of CSV go over lines */
  bool is_json;
  bool has_format; /* the first line that is not blank decides */
  struct trace_csv csv;
};

static bool reserve(struct line_reader *reader, size_t size) {
  if (size <= reader->capacity) return true;
  const size_t capacity = reader->capacity ? 2 * reader->capacity : (size_t)1 << 16;
  char *larger = realloc(reader->line, capacity);
  if (!larger) return false;
  reader->line = larger;
  reader->capacity = capacity;
  return true;
}

static enum line_status read_line(struct line_reader *reader) {
  const bool is_csv = reader->has_format && !reader->is_json;
  enum csv_place place = CSV_FIELD_START;
  size_t length = 0;
  int c;
  reader->number = reader->next++;
  while ((c = trace_input_next(reader->input)) != EOF && (c != '\n' || place == CSV_QUOTED)) {
    if (c == '\0') return LINE_BINARY;
    if (length + 1 == LONGEST_LINE) return LINE_TOO_LONG;
    if (!reserve(reader, length + 2)) return NO_MEMORY;
    if (is_csv) place = csv_place_after(place, (char)c);
    if (c == '\n') ++reader->next;
    reader->line[length++] = (char)c;
  }
  if (reader->input->failed) return READ_ERROR;
  if (place == CSV_QUOTED) return QUOTE_OPEN;
  if (c == EOF && length == 0) return END_OF_FILE;
  if (!reserve(reader, length + 1)) return NO_MEMORY;
  if (length > 0 && reader->line[length - 1] == '\r') --length;
  reader->line[length] = '\0';
  return LINE;
}

static bool line_fault(const struct line_reader *reader, enum line_status status,
                       struct trace_reading *reading) {
  const char *reason = archive_error_string(reader->input->archive);
  switch (status) {
    case LINE_TOO_LONG:
      return trace_fault(reading, "the line is longer than 64 MiB: this is no request trace");
    case LINE_BINARY:
      return trace_fault(reading,
                         "a zero byte: the file is binary, no request trace; convert it to CSV or "
                         "JSON lines, a Parquet file with pandas, for instance");
    case QUOTE_OPEN:
      return trace_fault(reading, "a quote that is not closed: correct or remove the line");
    case NO_MEMORY:
      return trace_fault(reading, "out of memory");
    default:
      return trace_fault(reading, "%s", reason ? reason : "the file cannot be read");
  }
}

static bool is_array(struct trace_reading *reading, const char *line) {
  if (*line != '[') return false;
  if (strstr(line, "\"conversations\"")) {
    trace_fault(reading,
                "conversations (ShareGPT) are texts, and no token counts: count them with the "
                "model's tokenizer and write one line per request, {\"input_length\": 547, "
                "\"output_length\": 248}");
  } else {
    trace_fault(reading,
                "a JSON array: put each object on a line of its own, with "
                "'jq -c .[] FILE'");
  }
  return true;
}

/* Takes the reader's line: a header, a blank line, or requests. */
static bool take_line(struct line_reader *reader, struct trace_reading *reading) {
  static const char byte_order_mark[] = "\xef\xbb\xbf";
  char *line = reader->line;
  if (reader->number == 1 && strncmp(line, byte_order_mark, 3) == 0) line += 3;
  line += strspn(line, " \t");
  if (*line == '\0') return true;
  if (!reader->has_format) {
    if (is_array(reading, line)) return false;
    reader->has_format = true;
    reader->is_json = *line == '{';
    reading->trace->format = reader->is_json ? "JSON lines" : "CSV";
    if (!reader->is_json) return trace_csv_header(reading, line, &reader->csv);
  }
  return reader->is_json ? trace_json_line(reading, line)
                         : trace_csv_line(reading, line, &reader->csv);
}

static bool read_lines(struct line_reader *reader, struct trace_reading *reading) {
  for (;;) {
    const enum line_status status = read_line(reader);
    if (status == END_OF_FILE) return true;
    if (status != LINE) return line_fault(reader, status, reading);
    if (!take_line(reader, reading)) return false;
  }
}

/* Why a trace without requests has none. */
static void no_requests(const struct line_reader *reader, const char *name,
                        const struct request_trace *trace, char *error, size_t size) {
  if (trace->failed > 0) {
    snprintf(error, size,
             "%s: all %zu requests have 0 output tokens: they failed, and there is nothing to "
             "replay; give a trace with requests that were answered",
             name, trace->failed);
    return;
  }
  const int64_t last = reader->number > 1 ? reader->number - 1 : 1; /* before the end */
  const bool is_pipe = reader->number <= 1 && trace_input_is_pipe(reader->input);
  snprintf(error, size, "%s:%" PRId64 ": the trace has no requests: %s", name, last,
           is_pipe ? "it is a pipe that nobody writes to" : "give one that has");
}

/* Reads the trace and closes the input, which may be NULL: then error is set. */
static bool read_input(struct trace_input *input, const char *name, struct request_trace *trace,
                       char *error, size_t error_size) {
  struct line_reader reader = {.input = input, .next = 1};
  struct trace_reading reading = {.trace = trace};
  bool done = false;
  *trace = (struct request_trace)TRACE_INIT;
  if (!input) return false;
  if (!read_lines(&reader, &reading)) {
    snprintf(error, error_size, "%s:%" PRId64 ": %s", name, reader.number, reading.fault);
  } else if (trace->count == 0) {
    no_requests(&reader, name, trace, error, error_size);
  } else {
    done = true;
  }
  if (!done) trace_free(trace);
  free(reader.line);
  trace_input_close(input);
  return done;
}

const char *trace_name(const char *path) {
  return strcmp(path, "-") == 0 ? "standard input" : path;
}

bool trace_read(const char *path, struct request_trace *trace, char *error, size_t error_size) {
  struct trace_input *input = trace_input_open(path, error, error_size);
  return read_input(input, trace_name(path), trace, error, error_size);
}

bool trace_read_memory(const void *bytes, size_t size, struct request_trace *trace, char *error,
                       size_t error_size) {
  return read_input(trace_input_open_memory(bytes, size, error, error_size), "memory", trace, error,
                    error_size);
}

void trace_free(struct request_trace *trace) {
  free(trace->requests);
  *trace = (struct request_trace)TRACE_INIT;
}

int32_t trace_longest(const struct request_trace *trace) {
  int32_t longest = 0;
  for (size_t i = 0; i < trace->count; ++i) {
    const int32_t total = trace->requests[i].input_length + trace->requests[i].output_length;
    if (total > longest) longest = total;
  }
  return longest;
}
