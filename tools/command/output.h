/*
 * output.h: the program's output: messages on stderr as "udm: ...", a report or one JSON object on
 * stdout, colour on a terminal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_COMMAND_OUTPUT_H
#define UDM_TOOLS_COMMAND_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "udm.h"

/* Prints one message on stderr, with "udm: " before it and a newline after it. */
void output_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The latest message of output_error(), "" before the first. */
const char *output_last_error(void);

/*
 * A JSON string of any text. If it is not UTF-8, which a path need not be, "?" replaces every byte
 * that is not ASCII. JSON null if memory runs out.
 */
json_t *output_text(const char *text);

/* output_error() and, with json, {"error": message} on stdout. Returns EXIT_COULD_NOT. */
int output_fail(bool json, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints the object on stdout and frees it. Returns code, or EXIT_COULD_NOT if memory runs out. */
int output_json(json_t *object, int code);

/* Closes stdout. Returns EXIT_COULD_NOT in place of EXIT_DONE if a write failed. */
int output_finish(int code);

/* The escape sequence of a style; "" unless file is a terminal with colour. */
enum output_style { STYLE_PLAIN, STYLE_BOLD, STYLE_GOOD, STYLE_BAD };
const char *output_escape(FILE *file, enum output_style style);

/* Writes a size such as "3.2 MiB" to text. */
void output_bytes(char *text, size_t size, uint64_t bytes);

/* A udm_log_callback that prints the library's warnings as messages. */
void output_log(void *user_data, udm_log_level level, const char *message);

#endif
