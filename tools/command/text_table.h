/*
 * text_table.h: a table of text with aligned columns.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_COMMAND_TEXT_TABLE_H
#define UDM_TOOLS_COMMAND_TEXT_TABLE_H

#include <stdio.h>

enum { TABLE_MAX_COLUMNS = 8 };

struct text_table {
  char *(*rows)[TABLE_MAX_COLUMNS];
  size_t row_count;
  size_t capacity;
};

#define TABLE_INIT \
  { NULL, 0, 0 }

/*
 * Adds a row. The formatted text is cut into cells at tab characters. Rows that
 * do not fit into memory are left out.
 */
void table_add(struct text_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Prints the rows, each after indent spaces, columns two spaces apart.
 * alignment has one letter per column, 'l' or 'r'; columns past its end are 'l'.
 */
void table_print(const struct text_table *table, FILE *file, int indent, const char *alignment);

void table_free(struct text_table *table);

#endif
