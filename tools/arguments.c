/*
 * Reading a command's arguments: see arguments.h.
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

int arguments_choice(const char *option, const char *text, const char *const *choices) {
  for (int i = 0; choices[i]; ++i) {
    if (strcmp(text, choices[i]) == 0) return i;
  }
  char list[256] = "";
  for (int i = 0; choices[i]; ++i) {
    const size_t used = strlen(list);
    snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", choices[i]);
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
