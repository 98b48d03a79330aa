/*
 * nvrtc_wheel.c: asks udm._nvrtc, which is Python.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nvrtc_wheel.h"

#include <string.h>

#include "python_api.h"

static bool copy_text(PyObject *text, char *path, size_t size) {
  const char *utf8 = PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
  if (!utf8 || strlen(utf8) >= size) return false;
  memcpy(path, utf8, strlen(utf8) + 1);
  return true;
}

bool nvrtc_wheel_path(char *path, size_t size) {
  const PyGILState_STATE state = PyGILState_Ensure();
  PyObject *module = PyImport_ImportModule("udm._nvrtc");
  PyObject *found = module ? PyObject_CallMethod(module, "find", NULL) : NULL;
  const bool copied = found && copy_text(found, path, size);
  Py_XDECREF(found);
  Py_XDECREF(module);
  PyErr_Clear(); /* the library's own message says that NVRTC is missing */
  PyGILState_Release(state);
  return copied;
}
