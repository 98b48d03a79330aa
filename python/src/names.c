/*
 * names.c: interns the attribute names when the module is imported. It
 * never frees them: the module cannot be unloaded.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "names.h"

struct names name;

static const struct {
  PyObject **object;
  const char *spelling;
} table[] = {
#define NAME_ENTRY(identifier, spelling) {&name.identifier, spelling},
    NAME_TABLE(NAME_ENTRY)
#undef NAME_ENTRY
};

int names_create(void) {
  for (size_t i = 0; i < sizeof table / sizeof *table; ++i) {
    *table[i].object = PyUnicode_InternFromString(table[i].spelling);
    if (!*table[i].object) return -1;
  }
  return 0;
}
