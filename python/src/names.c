/*
 * names.c: interns the attribute names when the module is imported. They are
 * never freed: the module cannot be unloaded.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "names.h"

names name;

int names_create(void) {
#define NAME_INTERN(identifier, spelling)                 \
  name.identifier = PyUnicode_InternFromString(spelling); \
  if (!name.identifier) return -1;
  NAME_TABLE(NAME_INTERN)
#undef NAME_INTERN
  return 0;
}
