/*
 * arguments.h: reads a command's arguments: numbers, sizes, ages, lists of architectures. Every
 * command reports wrong ones in the same words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_COMMAND_ARGUMENTS_H
#define UDM_TOOLS_COMMAND_ARGUMENTS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

/* A command numbers its own options from OPTION_FIRST. */
enum { OPTION_HELP = 'h', OPTION_FIRST = 256 };

/*
 * getopt_long() with the program's own messages. If an option is unknown, or its value is missing,
 * empty or surplus, prints a message and returns '?'.
 */
int arguments_next(int argc, char **argv, const struct option *options);

/* Reads a whole number in [least, most]. If text is none, prints a message that names the option.
 */
bool arguments_number(const char *option, const char *text, int64_t least, int64_t most,
                      int64_t *value);

/* Reads "65536" or "64M": K, M and G are powers of 1024. On failure prints a message. */
bool arguments_bytes(const char *option, const char *text, uint64_t *bytes);

/* Reads "30d", "12h", "45m", "90s", and "30" as days. On failure prints a message. */
bool arguments_age(const char *option, const char *text, int64_t *seconds);

/*
 * Adds each architecture of "sm_80,90" once to archs, which has room for `most`. On failure prints
 * a message.
 */
bool arguments_archs(const char *option, const char *text, int32_t *archs, int32_t most,
                     int32_t *count);

/*
 * Returns the position of text in choices, which NULL ends. If text is not among them, prints a
 * message that lists the choices and returns -1.
 */
int arguments_choice(const char *option, const char *text, const char *const *choices);

/* Returns whether exactly count arguments follow the options. If not, prints what is wrong. */
bool arguments_positional(int argc, char **argv, int count, const char *names);

#endif
