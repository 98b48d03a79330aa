/*
 * arguments.c: reading a command's arguments: see arguments.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

static const char *option_name(const struct option *options, int found) {
  while (options->name && options->val != found) ++options;
  return options->name ? options->name : "?";
}

int arguments_next(int argc, char **argv, const struct option *options) {
  opterr = 0;
  const int before = optind;
  const int found = getopt_long(argc, argv, ":h", options, NULL);
  if (found == ':') {
    output_error("%s: option '%s' needs a value", argv[0], argv[optind - 1]);
    return '?';
  }
  if (found == '?') {
    /* optind has moved past a long option, and may still stand on a cluster of letters */
    const char *text = argv[optind > before ? optind - 1 : optind];
    output_error("%s: option '%s' is unknown, ambiguous or takes no value: see 'udm %s --help'",
                 argv[0], text, argv[0]);
  }
  /* most likely a shell variable that is not set: never "not given" */
  if (found != -1 && found != '?' && optarg && optarg[0] == '\0') {
    output_error("%s: option '--%s' needs a value, and it is empty", argv[0],
                 option_name(options, found));
    return '?';
  }
  return found;
}

bool arguments_number(const char *option, const char *text, int64_t least, int64_t most,
                      int64_t *value) {
  char *end = NULL;
  errno = 0;
  const long long number = strtoll(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0 || number < least || number > most) {
    output_error("%s: '%s' is not a whole number from %" PRId64 " to %" PRId64, option, text, least,
                 most);
    return false;
  }
  *value = number;
  return true;
}

struct number_unit {
  const char *name;
  int64_t factor;
};

/* Reads a number from 0 up and the unit behind it, whose names end with NULL. */
static bool read_with_unit(const char *text, const struct number_unit *units, int64_t *value) {
  char *end = NULL;
  errno = 0;
  const long long number = strtoll(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || errno != 0) return false;
  for (; units->name; ++units) {
    if (strcmp(end, units->name) != 0) continue;
    if (number > INT64_MAX / units->factor) return false;
    *value = number * units->factor;
    return true;
  }
  return false;
}

bool arguments_bytes(const char *option, const char *text, uint64_t *bytes) {
  static const struct number_unit units[] = {
      {"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {NULL, 0}};
  int64_t value = 0;
  if (!read_with_unit(text, units, &value)) {
    output_error("%s: '%s' is not a number of bytes such as 65536, 64M or 1G", option, text);
    return false;
  }
  *bytes = (uint64_t)value;
  return true;
}

bool arguments_age(const char *option, const char *text, int64_t *seconds) {
  enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };
  static const struct number_unit units[] = {{"", DAY},     {"d", DAY}, {"h", HOUR},
                                             {"m", MINUTE}, {"s", 1},   {NULL, 0}};
  if (read_with_unit(text, units, seconds)) return true;
  output_error("%s: '%s' is not an age such as 30d, 12h, 45m or 90s", option, text);
  return false;
}

static bool add_arch(int32_t arch, int32_t *archs, int32_t most, int32_t *count) {
  for (int32_t i = 0; i < *count; ++i) {
    if (archs[i] == arch) return true;
  }
  if (*count == most) return false;
  archs[(*count)++] = arch;
  return true;
}

bool arguments_archs(const char *option, const char *text, int32_t *archs, int32_t most,
                     int32_t *count) {
  const char *rest = text;
  for (;;) {
    const char *digits = strncmp(rest, "sm_", 3) == 0 ? rest + 3 : rest;
    const size_t length = strspn(digits, "0123456789");
    const bool ends = digits[length] == ',' || digits[length] == '\0';
    if (length < 2 || length > 4 || !ends ||
        !add_arch((int32_t)strtol(digits, NULL, 10), archs, most, count)) {
      output_error("%s: '%s' is not a list of architectures such as sm_80,sm_90", option, text);
      return false;
    }
    if (digits[length] == '\0') return true;
    rest = digits + length + 1;
  }
}

int arguments_choice(const char *option, const char *text, const char *const *choices) {
  for (int i = 0; choices[i]; ++i) {
    if (strcmp(text, choices[i]) == 0) return i;
  }
  char list[256] = "";
  for (int i = 0; choices[i]; ++i) {
    const size_t used = strlen(list);
    snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", choices[i]);
  }
  output_error("%s: '%s' is none of: %s", option, text, list);
  return -1;
}

bool arguments_positional(int argc, char **argv, int count, const char *names) {
  if (argc - optind == count) return true;
  if (argc - optind < count) {
    output_error("%s: %s is missing: see 'udm %s --help'", argv[0], names, argv[0]);
  } else {
    output_error("%s: unexpected argument '%s': see 'udm %s --help'", argv[0], argv[optind + count],
                 argv[0]);
  }
  return false;
}
