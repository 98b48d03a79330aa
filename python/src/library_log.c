/*
 * library_log.c: keeps the lines of the library's log, and passes them to Python's
 * logging.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "library_log.h"

#include <stdlib.h>
#include <string.h>

/* A line is lost if there is no memory for it. */
void library_log_keep(void *user_data, udm_log_level level, const char *message) {
  struct library_log *log = user_data;
  const size_t needed = log->size + strlen(message) + 2;
  if (needed > log->capacity) {
    char *lines = realloc(log->lines, 2 * needed);
    if (!lines) return;
    log->lines = lines;
    log->capacity = 2 * needed;
  }
  log->lines[log->size] = (char)level;
  memcpy(log->lines + log->size + 1, message, strlen(message) + 1);
  log->size = needed;
}

/* The numbers of logging.WARNING, logging.INFO and logging.DEBUG, which logging documents. */
static int level_of(udm_log_level level) {
  switch (level) {
    case UDM_LOG_WARNING:
      return 30;
    case UDM_LOG_INFO:
      return 20;
    case UDM_LOG_DEBUG:
      return 10;
  }
  return 30;
}

/* NULL at the exit of the interpreter, which imports nothing any more: then nobody reads a log. */
static PyObject *find_logger(void) {
  PyObject *logging = PyImport_ImportModule("logging");
  PyObject *logger = logging ? PyObject_CallMethod(logging, "getLogger", "s", "udm") : NULL;
  Py_XDECREF(logging);
  PyErr_Clear();
  return logger;
}

/* The message is an argument, not the format: it may hold "%". Paths in it may be no UTF-8. */
static int pass_line(PyObject *logger, udm_log_level level, const char *message) {
  PyObject *text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
  PyObject *result =
      text ? PyObject_CallMethod(logger, "log", "isO", level_of(level), "%s", text) : NULL;
  Py_XDECREF(text);
  Py_XDECREF(result);
  return result ? 0 : -1;
}

int library_log_pass_on(struct library_log *log) {
  PyObject *logger = log->size > 0 ? find_logger() : NULL;
  int result = 0;
  for (size_t i = 0; logger && result == 0 && i < log->size; i += 2 + strlen(log->lines + i + 1)) {
    result = pass_line(logger, (udm_log_level)log->lines[i], log->lines + i + 1);
  }
  Py_XDECREF(logger);
  free(log->lines);
  *log = (struct library_log){NULL, 0, 0};
  return result;
}
