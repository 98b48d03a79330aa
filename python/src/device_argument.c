/*
 * device_argument.c: reads the argument device of prepare().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "device_argument.h"

#include <string.h>

#include "arguments.h"
#include "cuda_device.h"
#include "foreign_protocols.h"
#include "names.h"

static int raise_other_kind(PyObject *value) {
  PyErr_Format(
      PyExc_ValueError,
      "device is %R: it must be a CUDA device, as 1, \"cuda:1\" or \"cuda\", the current one",
      value);
  return -1;
}

/* "cuda", "cuda:0" */
static int read_text(PyObject *value, int32_t *device) {
  static const char cuda[] = "cuda";
  const char *text = PyUnicode_AsUTF8AndSize(value, NULL);
  if (!text) return -1;
  if (strncmp(text, cuda, strlen(cuda)) != 0) return raise_other_kind(value);
  const char *rest = text + strlen(cuda);
  if (!*rest) return cuda_device_current(device);
  const int number = *rest == ':' ? small_number(rest + 1, INT32_MAX / 16) : 0;
  if (number == 0 && strcmp(rest, ":0") != 0) return raise_other_kind(value);
  *device = number;
  return 0;
}

/* torch.device: its type is "cuda", its index a number or None. */
static int read_object(PyObject *value, int32_t *device) {
  PyObject *type = optional_attribute(value, name.type);
  PyObject *index = type ? optional_attribute(value, name.index) : NULL;
  int result = -1;
  if (PyErr_Occurred()) {
    /* of an attribute that is code */
  } else if (!index) {
    PyErr_Format(PyExc_TypeError,
                 "device is a %R: it must be None, an integer, a string or a torch.device",
                 (PyObject *)Py_TYPE(value));
  } else if (!PyUnicode_Check(type) || PyUnicode_CompareWithASCIIString(type, "cuda") != 0) {
    raise_other_kind(value);
  } else if (Py_IsNone(index)) {
    result = cuda_device_current(device);
  } else {
    result = argument_int32("device", index, 0, device);
  }
  Py_XDECREF(index);
  Py_XDECREF(type);
  return result;
}

int device_argument(PyObject *value, int32_t *device) {
  if (!value || Py_IsNone(value)) return cuda_device_current(device);
  if (PyIndex_Check(value)) return argument_int32("device", value, 0, device);
  return PyUnicode_Check(value) ? read_text(value, device) : read_object(value, device);
}
