/*
 * held_log.c: keeps log lines and passes them on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/held_log.h"

#include <string.h>

#include "core/allocator.h"

/* Without memory, the line is lost: it is only a line. */
static void keep_line(void *user_data, udm_log_level level, const char *message) {
  struct held_log *held = user_data;
  const size_t length = strlen(message) + 1;
  char *lines = udm_realloc(held->lines, held->size + 1 + length);
  if (!lines) return;
  lines[held->size] = (char)level;
  memcpy(lines + held->size + 1, message, length);
  held->lines = lines;
  held->size += 1 + length;
}

void udm_hold_log(const struct settings *settings, struct held_log *held) {
  held->settings = *settings;
  held->caller = settings;
  held->lines = NULL;
  held->size = 0;
  if (!settings->log) return;
  held->settings.log = keep_line;
  held->settings.log_user_data = held;
}

void udm_release_log(struct held_log *held) {
  const struct settings *caller = held->caller;
  if (!caller) return;
  for (size_t i = 0; i < held->size; i += 2 + strlen(held->lines + i + 1)) {
    caller->log(caller->log_user_data, (udm_log_level)held->lines[i], held->lines + i + 1);
  }
  udm_free(held->lines);
  held->caller = NULL;
  held->lines = NULL;
}
