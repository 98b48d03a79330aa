/*
 * foreign_tensor.c: data_ptr() and its companions, and the choice between the
 * protocols.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "foreign_tensor.h"

#include <string.h>

#include "foreign_protocols.h"
#include "names.h"

int read_integer(PyObject *value, int64_t *out) {
  if (!value) return -1;
  *out = PyLong_AsLongLong(value);
  return *out == -1 && PyErr_Occurred() ? -1 : 0;
}

/* As read_integer, of a value that it releases. */
static int take_integer(PyObject *value, int64_t *out) {
  const int result = read_integer(value, out);
  Py_XDECREF(value);
  return result;
}

int read_integers(PyObject *sequence, int64_t *out, Py_ssize_t *count) {
  *count = PySequence_Size(sequence);
  if (*count < 0) return -1;
  for (Py_ssize_t i = 0; i < *count && i < TENSOR_DIMENSIONS; ++i) {
    if (take_integer(PySequence_GetItem(sequence, i), &out[i]) < 0) return -1;
  }
  return 0;
}

int small_number(const char *text, int most) {
  int number = 0;
  if (!*text) return 0;
  for (; *text; ++text) {
    if (*text < '0' || *text > '9') return 0;
    number = 10 * number + (*text - '0');
    if (number > most) return 0;
  }
  return number;
}

int set_device(int64_t type, int64_t number, struct tensor *out) {
  if (type < INT32_MIN || type > INT32_MAX || number < INT32_MIN || number > INT32_MAX) {
    PyErr_Format(PyExc_ValueError, "its device number is %lld, and its kind of device %lld",
                 (long long)number, (long long)type);
    return -1;
  }
  out->view.device = (struct dlpack_device){(int32_t)type, (int32_t)number};
  return 0;
}

void set_dtype(const char *text, struct tensor *out) {
  static const struct {
    const char *prefix;
    enum dlpack_type_code code;
  } kinds[] = {{"int", DLPACK_INT},       {"uint", DLPACK_UINT},       {"float", DLPACK_FLOAT},
               {"bfloat", DLPACK_BFLOAT}, {"complex", DLPACK_COMPLEX}, {"bool", DLPACK_BOOL}};
  const char *dot = strrchr(text, '.'); /* "torch.int32" */
  const char *name_only = dot ? dot + 1 : text;
  const size_t letters = strcspn(name_only, "0123456789");
  out->view.dtype = (struct dlpack_data_type){DLPACK_OPAQUE_HANDLE, 0, 1};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
    if (strlen(kinds[i].prefix) != letters || strncmp(name_only, kinds[i].prefix, letters) != 0) {
      continue;
    }
    const bool is_bool = kinds[i].code == DLPACK_BOOL && !name_only[letters];
    const int bits = is_bool ? 8 : small_number(name_only + letters, 128);
    if (bits) out->view.dtype = (struct dlpack_data_type){(uint8_t)kinds[i].code, (uint8_t)bits, 1};
  }
}

static int read_dtype(PyObject *object, struct tensor *out) {
  PyObject *dtype = PyObject_GetAttr(object, name.dtype);
  PyObject *text = dtype ? PyObject_Str(dtype) : NULL;
  Py_XDECREF(dtype);
  const char *utf8 = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
  if (utf8) set_dtype(utf8, out);
  Py_XDECREF(text);
  return utf8 ? 0 : -1;
}

/* torch.device: type "cuda", index 1. Without an index it is device 0. */
static int read_device(PyObject *object, struct tensor *out) {
  int64_t index = 0;
  PyObject *device = PyObject_GetAttr(object, name.device);
  PyObject *type = device ? PyObject_GetAttr(device, name.type) : NULL;
  PyObject *number = type ? PyObject_GetAttr(device, name.index) : NULL;
  int result = number && !Py_IsNone(number) ? read_integer(number, &index) : 0;
  if (number && result == 0) {
    int64_t kind = -1;
    if (PyUnicode_CompareWithASCIIString(type, "cuda") == 0) kind = DLPACK_CUDA;
    if (PyUnicode_CompareWithASCIIString(type, "cpu") == 0) kind = DLPACK_CPU;
    result = set_device(kind, index, out);
  }
  Py_XDECREF(number);
  Py_XDECREF(type);
  Py_XDECREF(device);
  return number && result == 0 ? 0 : -1;
}

static int read_shape(PyObject *object, struct tensor *out) {
  Py_ssize_t dimensions = 0;
  Py_ssize_t strides = 0;
  PyObject *shape = PyObject_GetAttr(object, name.shape);
  PyObject *stride = shape ? PyObject_CallMethodObjArgs(object, name.stride, NULL) : NULL;
  const bool read = stride && read_integers(shape, out->own_shape, &dimensions) == 0 &&
                    read_integers(stride, out->own_strides, &strides) == 0;
  Py_XDECREF(stride);
  Py_XDECREF(shape);
  if (!read) return -1;
  if (dimensions != strides) {
    PyErr_SetString(PyExc_TypeError, "shape and stride() are of different lengths");
    return -1;
  }
  out->view.ndim = (int32_t)dimensions;
  return 0;
}

static int read_by_data_ptr(PyObject *object, PyObject *data_ptr, struct tensor *out) {
  PyObject *address = PyObject_CallObject(data_ptr, NULL);
  if (!address) return -1;
  out->view.data = (void *)(uintptr_t)PyLong_AsUnsignedLongLong(address);
  Py_DECREF(address);
  if (PyErr_Occurred()) return -1;
  if (read_shape(object, out) < 0 || read_dtype(object, out) < 0) return -1;
  return read_device(object, out);
}

/* The attribute, or NULL: without an exception when it is not there. */
PyObject *optional_attribute(PyObject *object, PyObject *attribute) {
  PyObject *value = PyObject_GetAttr(object, attribute);
  if (!value && PyErr_ExceptionMatches(PyExc_AttributeError)) PyErr_Clear();
  return value;
}

/* Others have a data_ptr() too, but say the rest in another way. */
static PyObject *data_ptr_of(PyObject *object) {
  PyObject *stride = optional_attribute(object, name.stride);
  PyObject *data_ptr = stride ? optional_attribute(object, name.data_ptr) : NULL;
  Py_XDECREF(stride);
  return data_ptr;
}

static int raise_no_tensor(PyObject *object, const struct tensor_name *about) {
  return raise_about(PyExc_TypeError, about,
                     "is a %R: it must be a tensor (one with DLPack's C exchange API, data_ptr(), "
                     "__cuda_array_interface__ or __dlpack__)",
                     (PyObject *)Py_TYPE(object));
}

int foreign_tensor_read(PyObject *object, const struct tensor_name *about, CUstream consumer,
                        struct tensor *out) {
  memset(out, 0, sizeof *out);
  out->view.shape = out->own_shape;
  out->view.strides = out->own_strides;
  static const struct {
    PyObject **attribute;
    int (*read)(PyObject *object, PyObject *value, CUstream consumer, struct tensor *out);
  } protocols[] = {{&name.cuda_array_interface, read_cuda_array_interface},
                   {&name.dlpack, read_dlpack}};

  PyObject *value = data_ptr_of(object);
  int result = value ? read_by_data_ptr(object, value, out) : -1;
  for (size_t i = 0; !value && !PyErr_Occurred() && i < sizeof protocols / sizeof *protocols; ++i) {
    value = optional_attribute(object, *protocols[i].attribute);
    if (value) result = protocols[i].read(object, value, consumer, out);
  }
  if (result < 0) PyErr_Occurred() ? raise_named(about) : raise_no_tensor(object, about);
  Py_XDECREF(value);
  return result;
}
