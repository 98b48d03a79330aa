/*
 * arguments.h: the arguments of a call by position and by keyword. The fast
 * way makes no tuple and no dict for them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_ARGUMENTS_H
#define UDM_PYTHON_ARGUMENTS_H

#include <stdint.h>

#include "python_api.h"

enum { MAX_ARGUMENTS = 24 };

struct signature {
  const char *function;
  int required;   /* so many arguments, the first ones, must be given */
  int positional; /* so many may be given by position, the others by keyword only */
  int count;
  const char *names[MAX_ARGUMENTS];
};

/* Sets values to borrowed references in the order of the names; NULL if an argument is not given.
 */
int arguments_parse(const struct signature *s, PyObject *const *arguments, Py_ssize_t given,
                    PyObject *keyword_names, PyObject **values);

/* The same from a tuple and a dict (or NULL). */
int arguments_parse_tuple(const struct signature *s, PyObject *arguments, PyObject *keywords,
                          PyObject **values);

/* Read an integer from minimum to INT32_MAX, or to INT64_MAX. */
int argument_int32(const char *name, PyObject *value, int32_t minimum, int32_t *out);
int argument_int64(const char *name, PyObject *value, int64_t minimum, int64_t *out);

#endif
