/*
 * html.h: what the page of the bench and its charts are written with.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_BENCH_REPORT_HTML_H
#define UDM_TOOLS_BENCH_REPORT_HTML_H

#include <stdint.h>
#include <stdio.h>

/* As text between tags: names of devices and reasons come from outside. */
void html_text(FILE *file, const char *text);

/* A cell of a table; a dash for what was not measured. */
void html_cell(FILE *file, double value, const char *unit);

/* "512", "128k", "1M". */
void html_size(FILE *file, int32_t size);

#endif
