/*
 * Reading a command's arguments: whole numbers in a range, and the errors that
 * every command reports in the same words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_ARGUMENTS_H
#define UDM_TOOLS_ARGUMENTS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

/* Values of long options that have no letter; a command numbers its own from here. */
enum { kOptionHelp = 'h', kOptionFirst = 256 };

/*
 * getopt_long() with messages in the program's words. Returns '?' after an
 * unknown option or a missing, empty or surplus value, with the message printed.
 */
int arguments_next(int argc, char **argv, const struct option *options);

/* Reads text as a whole number of [least, most]; otherwise prints why not, naming option. */
bool arguments_number(const char *option, const char *text, int64_t least, int64_t most,
                      int64_t *value);

/*
 * The position of text in choices, which ends with NULL; -1, with a message
 * that lists them, when it is not there.
 */
int arguments_choice(const char *option, const char *text, const char *const *choices);

/* Whether exactly count arguments follow the options; prints what is wrong otherwise. */
bool arguments_positional(int argc, char **argv, int count, const char *names);

#endif /* UDM_TOOLS_ARGUMENTS_H */
