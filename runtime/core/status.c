/*
 * status.c: names and texts of the statuses, and the thread's last error.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char last_error[UDM_MESSAGE_SIZE];

/* Its text is NULL: each thread has its own, which buffer_of() finds. */
struct error udm_last_error_of_thread = {NULL, sizeof last_error};

const char *udm_status_name(udm_status status) {
  switch (status) {
#define STATUS_NAME(name, value, text) \
  case name:                           \
    return #name;
    UDM_STATUS_TABLE(STATUS_NAME)
#undef STATUS_NAME
    case UDM_STATUS_FORCE_INT:
      break;
  }
  return "UDM_ERROR_UNKNOWN";
}

const char *udm_status_text(udm_status status) {
  switch (status) {
#define STATUS_TEXT(name, value, text) \
  case name:                           \
    return text;
    UDM_STATUS_TABLE(STATUS_TEXT)
#undef STATUS_TEXT
    case UDM_STATUS_FORCE_INT:
      break;
  }
  return "unknown status";
}

const char *udm_last_error(void) { return last_error; }

static char *buffer_of(const struct error *error) { return error->text ? error->text : last_error; }

const char *udm_error_text(const struct error *error) { return error ? buffer_of(error) : ""; }

int32_t udm_version(void) {
  return UDM_VERSION_MAJOR * 10000 + UDM_VERSION_MINOR * 100 + UDM_VERSION_PATCH;
}

#define STRING_OF(x) #x
#define VERSION_STRING(major, minor, patch) \
  STRING_OF(major) "." STRING_OF(minor) "." STRING_OF(patch)

const char *udm_version_string(void) {
  return VERSION_STRING(UDM_VERSION_MAJOR, UDM_VERSION_MINOR, UDM_VERSION_PATCH);
}

static void set_text(const struct error *error, const char *format, va_list arguments,
                     const char *suffix) {
  if (!error || error->size == 0) return;
  char *text = buffer_of(error);
  const int length = vsnprintf(text, error->size, format, arguments);
  if (suffix && length >= 0 && (size_t)length < error->size) {
    snprintf(text + length, error->size - (size_t)length, ": %s", suffix);
  }
}

udm_status udm_fail(struct error *error, udm_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  set_text(error, format, arguments, NULL);
  va_end(arguments);
  return status;
}

const char *udm_errno_text(int number, char buffer[UDM_ERRNO_TEXT_SIZE]) {
#ifdef __GLIBC__
  return strerror_r(number, buffer, UDM_ERRNO_TEXT_SIZE); /* GNU's: may not use the buffer */
#else
  if (strerror_r(number, buffer, UDM_ERRNO_TEXT_SIZE) != 0) {
    snprintf(buffer, UDM_ERRNO_TEXT_SIZE, "errno %d", number);
  }
  return buffer;
#endif
}

udm_status udm_fail_errno(struct error *error, udm_status status, int number, const char *format,
                          ...) {
  char buffer[UDM_ERRNO_TEXT_SIZE];
  va_list arguments;
  va_start(arguments, format);
  set_text(error, format, arguments, udm_errno_text(number, buffer));
  va_end(arguments);
  return status;
}

udm_status udm_fail_memory(struct error *error, const char *what, size_t bytes) {
  return udm_fail(error, UDM_ERROR_OUT_OF_MEMORY, "malloc: no %zu bytes of host memory for %s",
                  bytes, what);
}

static void append(char *text, size_t size, const char *format, va_list arguments) {
  const size_t used = strlen(text);
  vsnprintf(text + used, size - used, format, arguments);
}

void udm_extend_error(struct error *error, const char *format, ...) {
  va_list arguments;
  if (!error || error->size == 0) return;
  va_start(arguments, format);
  append(buffer_of(error), error->size, format, arguments);
  va_end(arguments);
}

void udm_append(char *text, size_t size, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  append(text, size, format, arguments);
  va_end(arguments);
}
