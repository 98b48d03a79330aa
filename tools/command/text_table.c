/*
 * text_table.c: a table of text with aligned columns: see text_table.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "text_table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int reserve(struct text_table *table) {
  if (table->row_count < table->capacity) return 1;
  const size_t capacity = table->capacity ? 2 * table->capacity : 16;
  void *rows = realloc(table->rows, capacity * sizeof *table->rows);
  if (!rows) return 0;
  table->rows = rows;
  table->capacity = capacity;
  return 1;
}

void table_add(struct text_table *table, const char *format, ...) {
  va_list arguments;
  char *text = NULL;
  va_start(arguments, format);
  const int length = vasprintf(&text, format, arguments);
  va_end(arguments);
  if (length < 0) return;
  if (reserve(table)) {
    char *(*row)[TABLE_MAX_COLUMNS] = &table->rows[table->row_count++];
    memset(*row, 0, sizeof *row);
    char *rest = text;
    for (int column = 0; column < TABLE_MAX_COLUMNS && rest; ++column) {
      (*row)[column] = strdup(strsep(&rest, "\t"));
    }
  }
  free(text);
}

static int is_last(char *const *cells, int column) {
  return column + 1 == TABLE_MAX_COLUMNS || !cells[column + 1];
}

void table_print(const struct text_table *table, FILE *file, int indent, const char *alignment) {
  int widths[TABLE_MAX_COLUMNS] = {0};
  for (size_t row = 0; row < table->row_count; ++row) {
    for (int column = 0; column < TABLE_MAX_COLUMNS && table->rows[row][column]; ++column) {
      const int width = (int)strlen(table->rows[row][column]);
      if (width > widths[column] && !is_last(table->rows[row], column)) widths[column] = width;
      if (width > widths[column] && (size_t)column < strlen(alignment)) widths[column] = width;
    }
  }
  for (size_t row = 0; row < table->row_count; ++row) {
    fprintf(file, "%*s", indent, "");
    for (int column = 0; column < TABLE_MAX_COLUMNS && table->rows[row][column]; ++column) {
      const char *cell = table->rows[row][column];
      const int right = (size_t)column < strlen(alignment) && alignment[column] == 'r';
      const int last = is_last(table->rows[row], column);
      /* nothing is padded at the end of a line */
      fprintf(file, "%*s%s", right || !last ? (right ? widths[column] : -widths[column]) : 0, cell,
              last ? "\n" : "  ");
    }
  }
}

void table_free(struct text_table *table) {
  for (size_t row = 0; row < table->row_count; ++row) {
    for (int column = 0; column < TABLE_MAX_COLUMNS; ++column) free(table->rows[row][column]);
  }
  free(table->rows);
  *table = (struct text_table)TABLE_INIT;
}
