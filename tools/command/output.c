/*
 * output.c: what the program says: see output.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "output.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "progress.h"

enum { MESSAGE_SIZE = 9216 }; /* holds a whole udm_last_error() */

static char last_error[MESSAGE_SIZE]; /* changed under flockfile(stderr) */

/* What a trace or a path brings along must not steer the terminal. */
static void hide_control_characters(char *text) {
  for (; *text; ++text) {
    if (iscntrl((unsigned char)*text) && *text != '\n' && *text != '\t') *text = '?';
  }
}

void output_error(const char *format, ...) {
  char message[MESSAGE_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  hide_control_characters(message);
  flockfile(stderr);
  memcpy(last_error, message, sizeof message);
  progress_wipe();
  fprintf(stderr, "udm: %s\n", message);
  funlockfile(stderr);
}

const char *output_last_error(void) { return last_error; }

json_t *output_text(const char *text) {
  json_t *string = json_string(text);
  if (string) return string;
  char *copy = strdup(text);
  for (char *byte = copy; byte && *byte; ++byte) {
    if ((unsigned char)*byte >= 0x80) *byte = '?';
  }
  string = copy ? json_string(copy) : NULL;
  free(copy);
  return string ? string : json_null();
}

int output_fail(bool json, const char *format, ...) {
  char message[MESSAGE_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  output_error("%s", message);
  if (!json) return EXIT_COULD_NOT;
  return output_json(json_pack("{s:o}", "error", output_text(message)), EXIT_COULD_NOT);
}

int output_json(json_t *object, int code) {
  if (!object) {
    output_error("cannot make the JSON object: out of memory, or a text that is not UTF-8");
    return EXIT_COULD_NOT;
  }
  const int dumped = json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
  putchar('\n');
  json_decref(object);
  return dumped == 0 ? code : EXIT_COULD_NOT;
}

int output_finish(int code) {
  const bool failed = ferror(stdout) != 0;
  if (fclose(stdout) == 0 && !failed) return code;
  output_error("cannot write to standard output: %s", errno ? strerror(errno) : "write error");
  return code == EXIT_DONE ? EXIT_COULD_NOT : code;
}

static bool wants_colour(FILE *file) {
  const char *no_color = getenv("NO_COLOR");
  if (no_color && no_color[0]) return false;
  const char *term = getenv("TERM");
  return isatty(fileno(file)) && term && strcmp(term, "dumb") != 0;
}

const char *output_escape(FILE *file, enum output_style style) {
  if (!wants_colour(file)) return "";
  switch (style) {
    case STYLE_BOLD:
      return "\033[1m";
    case STYLE_GOOD:
      return "\033[32m";
    case STYLE_BAD:
      return "\033[31m";
    case STYLE_PLAIN:
      break;
  }
  return "\033[0m";
}

void output_bytes(char *text, size_t size, uint64_t bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  double value = (double)bytes;
  while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
    value /= 1024;
    ++unit;
  }
  snprintf(text, size, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

void output_log(void *user_data, udm_log_level level, const char *message) {
  (void)user_data;
  if (level == UDM_LOG_WARNING) output_error("warning: %s", message);
}
