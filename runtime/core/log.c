/*
 * log.c: formats a line for the caller's log callback.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/status.h"

void udm_log(const struct settings *settings, udm_log_level level, const char *format, ...) {
  if (!settings->log) return;
  char message[UDM_MESSAGE_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  settings->log(settings->log_user_data, level, message);
}
