/*
 * errors.c: raises exceptions. The library's messages speak of its C
 * interface: this file puts them into the words of Python callers. Only failing
 * calls come here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "errors.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "udm.h"

const char *const output_attributes[UDM_OUTPUTS_PER_BACKEND] = {
    [UDM_OUTPUT_CACHE_SEQLENS] = "cache_seqlens_int32",
    [UDM_OUTPUT_CU_SEQLENS_K] = "cu_seqlens_k",
    [UDM_OUTPUT_PAGE_TABLE_1] = "page_table_1",
    [UDM_OUTPUT_NSA_CACHE_SEQLENS] = "nsa_cache_seqlens_int32",
    [UDM_OUTPUT_NSA_CU_SEQLENS_K] = "nsa_cu_seqlens_k",
    [UDM_OUTPUT_REAL_PAGE_TABLE] = "real_page_table",
    [UDM_OUTPUT_SEQLENS_EXPANDED] = "nsa_seqlens_expanded"};

const char *const extra_attributes[EXTRA_OUTPUTS] = {
    [EXTRA_CU_SEQLENS_Q] = "cu_seqlens_q",
    [EXTRA_CTX_LENS] = "paged_mqa_ctx_lens_2d",
    [EXTRA_SCHEDULE] = "paged_mqa_schedule_metadata"};

const char *const mode_names[] = {[UDM_MODE_DECODE] = "decode",
                                  [UDM_MODE_TARGET_VERIFY] = "target_verify",
                                  [UDM_MODE_DRAFT_EXTEND] = "draft_extend"};

/* The fields of udm_extra_outputs, and of udm_backend_outputs. */
static const char *const extra_fields[EXTRA_OUTPUTS] = {"cu_seqlens_q", "paged_mqa_ctx_lens",
                                                        "paged_mqa_schedule"};
static const char *const fields[UDM_OUTPUTS_PER_BACKEND] = {
    [UDM_OUTPUT_CACHE_SEQLENS] = "cache_seqlens",
    [UDM_OUTPUT_CU_SEQLENS_K] = "cu_seqlens_k",
    [UDM_OUTPUT_PAGE_TABLE_1] = "page_table_1",
    [UDM_OUTPUT_NSA_CACHE_SEQLENS] = "nsa_cache_seqlens",
    [UDM_OUTPUT_NSA_CU_SEQLENS_K] = "nsa_cu_seqlens_k",
    [UDM_OUTPUT_REAL_PAGE_TABLE] = "real_page_table",
    [UDM_OUTPUT_SEQLENS_EXPANDED] = "seqlens_expanded"};

static const struct {
  const char *library;
  const char *python;
} phrases[] = {
    {", lower max_len, or set page_table_stride to 0 if there is no page_table_1",
     " or lower max_len"},
    {"args->page_table_stride", "the row stride of page_table_1"},
    {"args->real_page_table_stride", "the row stride of real_page_table"},
    {"args->req_to_token_stride", "the row stride of req_to_token"},
    {"args->", ""},
    {"UDM_MODE_DECODE", "mode 'decode'"},
    {"; udm_query_driver tells how many there are", "; python -m udm doctor lists those there are"},
    {"the CUDA context that was current in udm_create must be current, and the stream must be of "
     "that context",
     "the stream must be one of the tensors' device, and still exist"},
    {"call udm_create", "call udm.prepare()"},
};

/* The field whose name text starts with, and the length of that name; -1: none. */
static int field_at(const char *text, const char *const *names, int count, size_t *length) {
  *length = strcspn(text, " .,:;");
  for (int o = 0; o < count; ++o) {
    if (strlen(names[o]) == *length && strncmp(text, names[o], *length) == 0) return o;
  }
  return -1;
}

/* A field of args->ARRAY[backend] at the start of text; -1: none. Sets *rest to what follows it. */
static int field_of(const char *text, const char *array, const char *const *names, int count,
                    int *backend, const char **rest) {
  size_t length = 0;
  char *end = NULL;
  if (strncmp(text, array, strlen(array)) != 0) return -1;
  *backend = (int)strtol(text + strlen(array), &end, 10);
  const int field = strncmp(end, "].", 2) == 0 ? field_at(end + 2, names, count, &length) : -1;
  *rest = end + 2 + length;
  return field;
}

/* A message about an output starts with the output's name. */
static PyObject *name_output(const char *text, const char *list) {
  int backend = 0;
  const char *rest = NULL;
  const int extra = field_of(text, "args->extra[", extra_fields, EXTRA_OUTPUTS, &backend, &rest);
  if (extra >= 0 && list) {
    return PyUnicode_FromFormat("%s[%d].%s%s", list, backend, extra_attributes[extra], rest);
  }
  const int output =
      field_of(text, "args->backends[", fields, UDM_OUTPUTS_PER_BACKEND, &backend, &rest);
  if (output < 0) return NULL;
  if (list) {
    return PyUnicode_FromFormat("%s[%d].%s%s", list, backend, output_attributes[output], rest);
  }
  return PyUnicode_FromFormat("backend_pointers[%d, %d], %s,%s", output, backend,
                              output_attributes[output], rest);
}

static PyObject *replace(PyObject *text, const char *from, const char *to) {
  PyObject *old = PyUnicode_FromString(from);
  PyObject *new = old ? PyUnicode_FromString(to) : NULL;
  PyObject *result = new ? PyUnicode_Replace(text, old, new, -1) : NULL;
  Py_XDECREF(new);
  Py_XDECREF(old);
  return result;
}

/*
 * Puts in the caller's own names: list[1].cu_seqlens_k for args->backends[1].cu_seqlens_k,
 * or the element of backend_pointers if list is NULL. Returns a new reference.
 */
static PyObject *in_python_words(const char *text, const char *list) {
  PyObject *words = name_output(text, list);
  if (!words && !PyErr_Occurred()) {
    words = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
  }
  for (size_t i = 0; words && i < sizeof phrases / sizeof *phrases; ++i) {
    PyObject *replaced = replace(words, phrases[i].library, phrases[i].python);
    Py_DECREF(words);
    words = replaced;
  }
  return words;
}

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

/* Code that does not know udm's types can catch a wrong argument as a ValueError. */
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
                   "The library has failed. The message is the library's own; "
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

/* "seq_lens", or "backend_metadata_list[1].page_table_1" */
static PyObject *name_text(const struct tensor_name *about) {
  if (about->backend < 0) return PyUnicode_FromString(about->argument);
  return PyUnicode_FromFormat("%s[%d].%s", about->argument, about->backend, about->attribute);
}

int raise_about(PyObject *exception, const struct tensor_name *about, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  PyObject *text = PyUnicode_FromFormatV(format, arguments);
  va_end(arguments);
  PyObject *named = text ? name_text(about) : NULL;
  if (named) PyErr_Format(exception, "%U %U", named, text);
  Py_XDECREF(named);
  Py_XDECREF(text);
  return -1;
}

/* A borrowed reference. NULL if a text alone cannot make an exception of that type. */
static PyObject *retold_as(PyObject *type) {
  PyObject *const types[] = {PyExc_TypeError, PyExc_ValueError, PyExc_AttributeError,
                             PyExc_BufferError, PyExc_RuntimeError};
  if (type == PyExc_OverflowError) return PyExc_ValueError; /* an integer of too many bits */
  for (size_t i = 0; i < sizeof types / sizeof *types; ++i) {
    if (types[i] == type) return type;
  }
  return NULL;
}

/* Sets the cause of the current exception. Takes the reference. */
static void set_cause(PyObject *cause) {
  PyObject *type = NULL;
  PyObject *value = NULL;
  PyObject *traceback = NULL;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  PyException_SetCause(value, cause);
  PyErr_Restore(type, value, traceback);
}

/*
 * FileNotFoundError and the like, whose text has parts. Sets one with the same parts, the name
 * before its strerror. Returns false, with nothing set, if value is none of them.
 */
static bool raise_system_error(PyObject *value, const struct tensor_name *about) {
  static const char *const parts[] = {"errno", "strerror", "filename", "filename2"};
  PyObject *part[4] = {NULL, NULL, NULL, NULL};
  PyObject *named = NULL;
  PyObject *text = NULL;
  PyObject *again = NULL;
  bool complete = PyErr_GivenExceptionMatches(value, PyExc_OSError);
  for (int i = 0; complete && i < 4; ++i) {
    part[i] = PyObject_GetAttrString(value, parts[i]);
    complete = part[i] != NULL;
  }
  if (complete && PyLong_Check(part[0])) {
    named = name_text(about);
    text = named ? PyUnicode_FromFormat("%U cannot be read: %S", named, part[1]) : NULL;
    /* OSError itself makes the subclass of an errno. Only Windows reads the fourth argument. */
    again = text ? PyObject_CallFunction(PyExc_OSError, "OOOOO", part[0], text, part[2], Py_None,
                                         part[3])
                 : NULL;
  }
  PyErr_Clear();
  const bool same_type = again && Py_TYPE(again) == Py_TYPE(value);
  if (same_type) PyErr_SetObject((PyObject *)Py_TYPE(again), again);
  Py_XDECREF(again);
  Py_XDECREF(text);
  Py_XDECREF(named);
  for (int i = 0; i < 4; ++i) Py_XDECREF(part[i]);
  return same_type;
}

/* Python 3.11 and later show notes below the text of an exception of any type. */
static void add_note(PyObject *value, const struct tensor_name *about) {
  PyObject *named = name_text(about);
  PyObject *note = named ? PyUnicode_FromFormat("udm cannot read %U", named) : NULL;
  PyObject *result = note ? PyObject_CallMethod(value, "add_note", "O", note) : NULL;
  Py_XDECREF(result);
  Py_XDECREF(note);
  Py_XDECREF(named);
  PyErr_Clear(); /* an older Python */
}

int raise_named(const struct tensor_name *about) {
  PyObject *type = NULL;
  PyObject *value = NULL;
  PyObject *traceback = NULL;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  PyObject *as = retold_as(type);
  if (as) {
    raise_about(as, about, "cannot be read: %S", value);
  } else if (!raise_system_error(value, about)) {
    add_note(value, about);
    PyErr_Restore(type, value, traceback);
    return -1;
  }
  if (traceback) { /* shows where the tensor's own Python code failed */
    PyException_SetTraceback(value, traceback);
    set_cause(Py_NewRef(value));
  }
  Py_XDECREF(traceback);
  Py_DECREF(value);
  Py_DECREF(type);
  return -1;
}
