/*
 * output.h: what the program says: messages on stderr as "udm: ...", one JSON object or
 * a report on stdout, colour on a terminal.
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

/* One message on stderr, "udm: " before it and a newline after it. */
void output_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The latest message of output_error(), "" before the first. */
const char *output_last_error(void);

/*
 * A JSON string of any text: bytes that are no UTF-8, which paths may have,
 * become "?". JSON null without memory.
 */
json_t *output_text(const char *text);

/* output_error() and, with json, {"error": message} on stdout. Returns EXIT_COULD_NOT. */
int output_fail(bool json, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints the object on stdout and frees it. Returns code, or EXIT_COULD_NOT without memory. */
int output_json(json_t *object, int code);

/* Flushes stdout; a write that failed turns code into EXIT_COULD_NOT. */
int output_finish(int code);

/* Escape sequences for file; "" unless it is a terminal that wants colour. */
enum output_style { STYLE_PLAIN, STYLE_BOLD, STYLE_GOOD, STYLE_BAD };
const char *output_escape(FILE *file, enum output_style style);

/* "3.2 MiB" into text. */
void output_bytes(char *text, size_t size, uint64_t bytes);

/* A udm_log_callback that prints the library's warnings as messages. */
void output_log(void *user_data, udm_log_level level, const char *message);

#endif
