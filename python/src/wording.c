/*
 * wording.c: messages of the library that speak of its C interface, told again.
 * Only failing calls come here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wording.h"

#include <stdlib.h>
#include <string.h>

#include "udm.h"

/* In the order of udm_backend_outputs, whose fields are spelled as fields is. */
const char *const output_attributes[UDM_OUTPUTS_PER_BACKEND] = {
    "cache_seqlens_int32", "cu_seqlens_k",    "page_table_1",        "nsa_cache_seqlens_int32",
    "nsa_cu_seqlens_k",    "real_page_table", "nsa_seqlens_expanded"};

static const char *const fields[UDM_OUTPUTS_PER_BACKEND] = {
    "cache_seqlens",    "cu_seqlens_k",    "page_table_1",    "nsa_cache_seqlens",
    "nsa_cu_seqlens_k", "real_page_table", "seqlens_expanded"};

static const struct {
  const char *library;
  const char *python;
} phrases[] = {
    {", lower max_len, or set page_table_stride to 0 where there is no page_table_1",
     " or lower max_len"},
    {"args->page_table_stride", "the row stride of page_table_1"},
    {"args->real_page_table_stride", "the row stride of real_page_table"},
    {"args->req_to_token_stride", "the row stride of req_to_token"},
    {"args->", ""},
    {"; udm_query_driver tells how many there are", "; python -m udm doctor lists those there are"},
    {"the CUDA context that was current in udm_create must be current, and the stream must be of "
     "that context",
     "the stream must be one of the tensors' device, and still exist"},
    {"call udm_create", "call udm.prepare()"},
};

/* The output that text starts with, and its length; -1: none. */
static int field_at(const char *text, size_t *length) {
  *length = strcspn(text, " .,:;");
  for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
    if (strlen(fields[o]) == *length && strncmp(text, fields[o], *length) == 0) return o;
  }
  return -1;
}

/* Messages about an output start with it. */
static PyObject *name_output(const char *text, const char *list) {
  static const char backends[] = "args->backends[";
  size_t length = 0;
  char *end = NULL;
  if (strncmp(text, backends, strlen(backends)) != 0) return NULL;
  const int backend = (int)strtol(text + strlen(backends), &end, 10);
  const int output = strncmp(end, "].", 2) == 0 ? field_at(end + 2, &length) : -1;
  if (output < 0) return NULL;
  const char *rest = end + 2 + length;
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

PyObject *in_python_words(const char *text, const char *list) {
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
