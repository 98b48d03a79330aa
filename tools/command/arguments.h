/*
 * arguments.h: reading a command's arguments: numbers, sizes, ages, lists of architectures,
 * and the errors that every command reports in the same words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_COMMAND_ARGUMENTS_H
#define UDM_TOOLS_COMMAND_ARGUMENTS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

/* Values of long options that have no letter; a command numbers its own from here. */
enum { OPTION_HELP = 'h', OPTION_FIRST = 256 };

/*
 * getopt_long() with messages in the program's words. Returns '?' after an
 * unknown option or a missing, empty or surplus value, with the message printed.
 */
int arguments_next(int argc, char **argv, const struct option *options);

/* Reads text as a whole number of [least, most]; otherwise prints why not, naming option. */
bool arguments_number(const char *option, const char *text, int64_t least, int64_t most,
                      int64_t *value);

/* Reads "65536", "64M": K, M and G are powers of 1024; otherwise prints why not. */
bool arguments_bytes(const char *option, const char *text, uint64_t *bytes);

/* Reads "30d", "12h", "45m", "90s", and "30" as days; otherwise prints why not. */
bool arguments_age(const char *option, const char *text, int64_t *seconds);

/*
 * Adds the architectures of "sm_80,90" to archs, which has room for most, each
 * once; otherwise prints why not.
 */
bool arguments_archs(const char *option, const char *text, int32_t *archs, int32_t most,
                     int32_t *count);

/*
 * The position of text in choices, which ends with NULL; -1, with a message
 * that lists them, when it is not there.
 */
int arguments_choice(const char *option, const char *text, const char *const *choices);

/* Whether exactly count arguments follow the options; prints what is wrong otherwise. */
bool arguments_positional(int argc, char **argv, int count, const char *names);

#endif
