/*
 * trace.c: a request trace: see trace.h. Here are the file, its lines and the checks that
 * both formats share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace_formats.h"

enum { MAX_LINE = 1 << 20 };

enum line_status { LINE, END_OF_FILE, LINE_TOO_LONG, LINE_BINARY, READ_ERROR };

struct line_reader {
  FILE *file;
  char *line;     /* without its newline */
  int64_t number; /* of the line, from 1 */
  bool is_json;
  bool has_format; /* the first line that is not blank decides */
  struct trace_csv_columns columns;
};

static enum line_status read_line(struct line_reader *reader) {
  size_t length = 0;
  int c;
  while ((c = getc_unlocked(reader->file)) != EOF && c != '\n') {
    if (c == '\0') return LINE_BINARY;
    if (length + 1 == MAX_LINE) return LINE_TOO_LONG;
    reader->line[length++] = (char)c;
  }
  if (ferror(reader->file)) return READ_ERROR;
  if (c == EOF && length == 0) return END_OF_FILE;
  if (length > 0 && reader->line[length - 1] == '\r') --length;
  reader->line[length] = '\0';
  return LINE;
}

static const char *line_status_text(enum line_status status) {
  switch (status) {
    case LINE_TOO_LONG:
      return "the line is longer than 1 MiB: this is no request trace";
    case LINE_BINARY:
      return "a zero byte: the file is binary, no request trace";
    default:
      return strerror(errno);
  }
}

static bool append(struct request_trace *trace, size_t *capacity,
                   const struct trace_lengths *lengths) {
  if (trace->count == *capacity) {
    *capacity = *capacity ? 2 * *capacity : 1024;
    struct trace_request *requests = realloc(trace->requests, *capacity * sizeof *requests);
    if (!requests) return false;
    trace->requests = requests;
  }
  trace->requests[trace->count++] =
      (struct trace_request){(int32_t)lengths->input, (int32_t)lengths->output};
  return true;
}

static bool check_lengths(const struct trace_lengths *lengths, char *error, size_t size) {
  const char *fault = NULL;
  if (lengths->input < 0 || lengths->output < 0) {
    fault = "a length is negative";
  } else if (lengths->input > INT32_MAX || lengths->output > INT32_MAX - lengths->input) {
    fault = "more than 2147483647 together is absurd";
  }
  if (!fault) return true;
  snprintf(error, size,
           "a request of %" PRId64 " input and %" PRId64
           " output tokens: %s; correct or remove the line",
           lengths->input, lengths->output, fault);
  return false;
}

/* Takes the reader's line: *is_request tells a request from a header or a blank line. */
static bool take_line(struct line_reader *reader, struct request_trace *trace,
                      struct trace_lengths *lengths, bool *is_request, char *error, size_t size) {
  static const char byte_order_mark[] = "\xef\xbb\xbf";
  char *line = reader->line;
  if (reader->number == 1 && strncmp(line, byte_order_mark, 3) == 0) line += 3;
  line += strspn(line, " \t");
  *is_request = false;
  if (*line == '\0') return true;
  if (!reader->has_format) {
    reader->has_format = true;
    reader->is_json = *line == '{';
    trace->format = reader->is_json ? "JSON lines" : "CSV";
    if (!reader->is_json) return trace_csv_header(line, &reader->columns, error, size);
  }
  *is_request = true;
  return (reader->is_json ? trace_json_line(line, lengths, error, size)
                          : trace_csv_line(line, &reader->columns, lengths, error, size)) &&
         check_lengths(lengths, error, size);
}

/* Reads every line; fault is what is wrong with the line reader->number. */
static bool read_lines(struct line_reader *reader, struct request_trace *trace, char *fault,
                       size_t size) {
  size_t capacity = 0;
  for (;;) {
    const enum line_status status = read_line(reader);
    if (status == END_OF_FILE) return true;
    ++reader->number;
    if (status != LINE) {
      snprintf(fault, size, "%s", line_status_text(status));
      return false;
    }
    struct trace_lengths lengths;
    bool is_request;
    if (!take_line(reader, trace, &lengths, &is_request, fault, size)) return false;
    if (is_request && !append(trace, &capacity, &lengths)) {
      snprintf(fault, size, "out of memory: cut the trace in pieces");
      return false;
    }
  }
}

/* Opens without waiting for the writer of a FIFO; what is there is read as usual. */
static int open_descriptor(const char *path) {
  const int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return -1;
  const int flags = fcntl(descriptor, F_GETFL);
  if (flags >= 0 && fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) == 0) return descriptor;
  close(descriptor);
  return -1;
}

static bool is_kind(int descriptor, mode_t kind) {
  struct stat about;
  return fstat(descriptor, &about) == 0 && (about.st_mode & S_IFMT) == kind;
}

static FILE *open_file(const char *path, char *error, size_t size) {
  if (path[0] == '\0') {
    snprintf(error, size, "TRACE is empty: give the path of a request trace");
    return NULL;
  }
  const int descriptor = open_descriptor(path);
  FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "r");
  if (!file) {
    snprintf(error, size, "%s: %s: give the path of a request trace", path, strerror(errno));
    if (descriptor >= 0) close(descriptor);
    return NULL;
  }
  if (is_kind(descriptor, S_IFDIR)) {
    snprintf(error, size, "%s: is a folder: give the path of a request trace in it", path);
    fclose(file);
    return NULL;
  }
  return file;
}

bool trace_read(const char *path, struct request_trace *trace, char *error, size_t error_size) {
  struct line_reader reader = {0};
  char fault[512] = "";
  bool done = false;
  *trace = (struct request_trace)TRACE_INIT;
  reader.file = open_file(path, error, error_size);
  if (!reader.file) return false;
  reader.line = malloc(MAX_LINE);
  if (!reader.line) {
    snprintf(error, error_size, "out of memory");
    goto cleanup;
  }
  if (!read_lines(&reader, trace, fault, sizeof fault)) {
    snprintf(error, error_size, "%s:%" PRId64 ": %s", path, reader.number, fault);
    goto cleanup;
  }
  if (trace->count == 0) {
    const bool is_pipe = reader.number == 0 && is_kind(fileno(reader.file), S_IFIFO);
    snprintf(error, error_size, "%s:%" PRId64 ": the trace has no requests: %s", path,
             reader.number ? reader.number : 1,
             is_pipe ? "it is a pipe that nobody writes to" : "give one that has");
    goto cleanup;
  }
  done = true;

cleanup:
  if (!done) trace_free(trace);
  free(reader.line);
  fclose(reader.file);
  return done;
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
