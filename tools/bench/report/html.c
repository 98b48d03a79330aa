/*
 * html.c: text, numbers and sizes in HTML: see html.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "html.h"

void html_text(FILE *file, const char *text) {
  for (; *text; ++text) {
    if (*text == '<' || *text == '>' || *text == '&') {
      fprintf(file, "&#%d;", *text);
    } else {
      fputc(*text, file);
    }
  }
}

void html_cell(FILE *file, double value, const char *unit) {
  if (value < 0) {
    fputs("<td class=\"dim\">-</td>", file);
  } else {
    fprintf(file, "<td>%.2f%s</td>", value, unit);
  }
}

void html_size(FILE *file, int32_t size) {
  static const char *const units[] = {"", "k", "M"};
  int unit = 0;
  for (; unit < 2 && size >= 1024 && size % 1024 == 0; ++unit) size /= 1024;
  fprintf(file, "%d%s", (int)size, units[unit]);
}
