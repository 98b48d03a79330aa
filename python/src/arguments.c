/*
 * arguments.c: reads the arguments of a call, and words errors as Python does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "arguments.h"

static int raise_count(const struct signature *s, Py_ssize_t given) {
  PyErr_Format(PyExc_TypeError, "%s() takes at most %d positional arguments (%zd given)",
               s->function, s->positional, given);
  return -1;
}

static int set_by_name(const struct signature *s, PyObject *keyword, PyObject *value,
                       PyObject **values) {
  for (int i = 0; i < s->count; ++i) {
    if (PyUnicode_CompareWithASCIIString(keyword, s->names[i]) != 0) continue;
    if (values[i]) {
      PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%s'", s->function,
                   s->names[i]);
      return -1;
    }
    values[i] = value;
    return 0;
  }
  PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", s->function,
               keyword);
  return -1;
}

static int check_required(const struct signature *s, PyObject **values) {
  for (int i = 0; i < s->required; ++i) {
    if (values[i]) continue;
    PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s'", s->function, s->names[i]);
    return -1;
  }
  return 0;
}

int arguments_parse(const struct signature *s, PyObject *const *arguments, Py_ssize_t given,
                    PyObject *keyword_names, PyObject **values) {
  if (given > s->positional) return raise_count(s, given);
  for (Py_ssize_t i = 0; i < given; ++i) values[i] = arguments[i];
  for (Py_ssize_t i = given; i < s->count; ++i) values[i] = NULL;
  if (!keyword_names && given >= s->required) return 0;
  const Py_ssize_t keywords = keyword_names ? PyTuple_Size(keyword_names) : 0;
  for (Py_ssize_t k = 0; k < keywords; ++k) {
    PyObject *keyword = PyTuple_GetItem(keyword_names, k);
    if (set_by_name(s, keyword, arguments[given + k], values) < 0) return -1;
  }
  return check_required(s, values);
}

int arguments_parse_tuple(const struct signature *s, PyObject *arguments, PyObject *keywords,
                          PyObject **values) {
  const Py_ssize_t given = PyTuple_Size(arguments);
  if (given > s->positional) return raise_count(s, given);
  for (int i = 0; i < s->count; ++i) {
    values[i] = i < given ? PyTuple_GetItem(arguments, i) : NULL;
  }
  PyObject *keyword = NULL;
  PyObject *value = NULL;
  Py_ssize_t position = 0;
  while (keywords && PyDict_Next(keywords, &position, &keyword, &value)) {
    if (set_by_name(s, keyword, value, values) < 0) return -1;
  }
  return check_required(s, values);
}

/* Raises the exception of a failed conversion again, with the argument's name. */
static int raise_no_integer(const char *name, PyObject *value, int bits) {
  if (PyErr_ExceptionMatches(PyExc_TypeError)) {
    PyErr_Clear();
    PyErr_Format(PyExc_TypeError, "%s must be an integer, not %R", name,
                 (PyObject *)Py_TYPE(value));
  } else if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
    PyErr_Clear();
    PyErr_Format(PyExc_ValueError, "%s is %S: it must fit in %d bits", name, value, bits);
  }
  return -1;
}

static int read_integer(const char *name, PyObject *value, int64_t minimum, int bits,
                        int64_t *out) {
  const long long number = PyLong_AsLongLong(value);
  if (number == -1 && PyErr_Occurred()) return raise_no_integer(name, value, bits);
  if (number < minimum) {
    PyErr_Format(PyExc_ValueError, "%s is %lld: it must be %lld or more", name, number,
                 (long long)minimum);
    return -1;
  }
  *out = number;
  return 0;
}

int argument_int64(const char *name, PyObject *value, int64_t minimum, int64_t *out) {
  return read_integer(name, value, minimum, 64, out);
}

int argument_int32(const char *name, PyObject *value, int32_t minimum, int32_t *out) {
  int64_t number = 0;
  if (read_integer(name, value, minimum, 32, &number) < 0) return -1;
  if (number > INT32_MAX) {
    PyErr_Format(PyExc_ValueError, "%s is %lld: it must fit in 32 bits", name, (long long)number);
    return -1;
  }
  *out = (int32_t)number;
  return 0;
}
