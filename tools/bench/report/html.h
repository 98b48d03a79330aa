/*
 * html.h: writes text, numbers and sizes in HTML, for the page and its charts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_BENCH_REPORT_HTML_H
#define UDM_TOOLS_BENCH_REPORT_HTML_H

#include <stdint.h>
#include <stdio.h>

/* Writes text between tags, escaped: names of devices and reasons come from outside. */
void html_text(FILE *file, const char *text);

/* Writes a cell of a table; a dash for a negative value, which was not measured. */
void html_cell(FILE *file, double value, const char *unit);

/* Writes "512", "128k" or "1M". */
void html_size(FILE *file, int32_t size);

#endif
