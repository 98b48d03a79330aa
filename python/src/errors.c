/*
 * errors.c: makes the exception types from the library's table of statuses,
 * and raises them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "errors.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "wording.h"

struct status_exception {
  udm_status status;
  const char *name; /* UDM_ERROR_NO_DRIVER */
  PyObject *type;   /* NoDriverError */
};

static struct status_exception status_exceptions[] = {
#define STATUS_EXCEPTION(name, value, text) {name, #name, NULL},
    UDM_STATUS_TABLE(STATUS_EXCEPTION)
#undef STATUS_EXCEPTION
};

enum { STATUS_EXCEPTIONS = sizeof status_exceptions / sizeof *status_exceptions };

static PyObject *error; /* udm.Error */

static char lower_case(char c) { return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); }

/* UDM_ERROR_NO_DRIVER: "NoDriverError" */
static void class_name(const char *status_name, char *out, size_t size) {
  static const char end[] = "Error";
  size_t length = 0;
  bool starts_word = true;
  for (const char *c = status_name + strlen("UDM_ERROR_"); *c; ++c) {
    if (*c != '_' && length < size - sizeof end) {
      out[length++] = starts_word ? *c : lower_case(*c);
    }
    starts_word = *c == '_';
  }
  memcpy(out + length, end, sizeof end);
}

/* An exception type with the attribute status. */
static PyObject *new_type(const char *qualified_name, const char *doc, PyObject *bases,
                          udm_status status) {
  PyObject *attributes = Py_BuildValue("{ss}", "status", udm_status_name(status));
  if (!attributes) return NULL;
  PyObject *type = PyErr_NewExceptionWithDoc(qualified_name, doc, bases, attributes);
  Py_DECREF(attributes);
  return type;
}

/* A wrong argument is a ValueError for those who do not know udm's types. */
static PyObject *make_exception(const struct status_exception *e, const char *qualified_name) {
  PyObject *bases = e->status == UDM_ERROR_INVALID_ARGUMENT
                        ? PyTuple_Pack(2, error, PyExc_ValueError)
                        : PyTuple_Pack(1, error);
  if (!bases) return NULL;
  PyObject *type = new_type(qualified_name, udm_status_text(e->status), bases, e->status);
  Py_DECREF(bases);
  return type;
}

static int add_exception(PyObject *module, struct status_exception *e) {
  char name[64];
  char qualified_name[80];
  class_name(e->name, name, sizeof name);
  PyOS_snprintf(qualified_name, sizeof qualified_name, "udm.%s", name);
  e->type = make_exception(e, qualified_name);
  return e->type ? PyModule_AddObjectRef(module, name, e->type) : -1;
}

int errors_create(PyObject *module) {
  error = new_type("udm.Error",
                   "What the library could not do, in the library's own words; "
                   "the attribute status is the name of its status.",
                   PyExc_RuntimeError, UDM_STATUS_FORCE_INT); /* the name of no status */
  if (!error || PyModule_AddObjectRef(module, "Error", error) < 0) return -1;
  for (int i = 0; i < STATUS_EXCEPTIONS; ++i) {
    if (status_exceptions[i].status == UDM_OK) continue;
    if (add_exception(module, &status_exceptions[i]) < 0) return -1;
  }
  return 0;
}

static int raise_message(udm_status status, PyObject *message) {
  PyObject *type = error;
  for (int i = 0; i < STATUS_EXCEPTIONS; ++i) {
    if (status_exceptions[i].status == status) type = status_exceptions[i].type;
  }
  if (message) PyErr_SetObject(type, message);
  Py_XDECREF(message);
  return -1;
}

int raise_status(udm_status status) { return raise_launch(status, NULL); }

int raise_launch(udm_status status, const char *backends_argument) {
  return raise_message(status, in_python_words(udm_last_error(), backends_argument));
}

int raise_text(udm_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  PyObject *message = PyUnicode_FromFormatV(format, arguments);
  va_end(arguments);
  return raise_message(status, message);
}

int raise_about(PyObject *exception, const struct tensor_name *about, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  PyObject *text = PyUnicode_FromFormatV(format, arguments);
  va_end(arguments);
  if (!text) return -1;
  if (about->backend < 0) {
    PyErr_Format(exception, "%s %U", about->argument, text);
  } else {
    PyErr_Format(exception, "%s[%d].%s %U", about->argument, about->backend, about->attribute,
                 text);
  }
  Py_DECREF(text);
  return -1;
}

/* Borrowed; NULL for types that may not be made of a text, or that say more than a text. */
static PyObject *retold_as(PyObject *type) {
  PyObject *const types[] = {PyExc_TypeError, PyExc_ValueError, PyExc_AttributeError,
                             PyExc_BufferError, PyExc_RuntimeError};
  if (type == PyExc_OverflowError) return PyExc_ValueError; /* an integer of too many bits */
  for (size_t i = 0; i < sizeof types / sizeof *types; ++i) {
    if (types[i] == type) return type;
  }
  return NULL;
}

/* Of the exception that is set. Takes the reference. */
static void set_cause(PyObject *cause) {
  PyObject *type = NULL;
  PyObject *value = NULL;
  PyObject *traceback = NULL;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  PyException_SetCause(value, cause);
  PyErr_Restore(type, value, traceback);
}

int raise_named(const struct tensor_name *about) {
  PyObject *type = NULL;
  PyObject *value = NULL;
  PyObject *traceback = NULL;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  PyObject *as = retold_as(type);
  if (!as) {
    PyErr_Restore(type, value, traceback);
    return -1;
  }
  raise_about(as, about, "cannot be read: %S", value);
  if (traceback) { /* from the tensor's own Python code: it shows where */
    PyException_SetTraceback(value, traceback);
    set_cause(Py_NewRef(value));
  }
  Py_XDECREF(traceback);
  Py_DECREF(value);
  Py_DECREF(type);
  return -1;
}
