/*
 * stream.c: finds the stream.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "stream.h"

#include <limits.h>

#include "foreign_tensor.h"
#include "names.h"
#include "tensor.h"

static int raise_no_handle(PyObject *handle) {
  PyErr_Clear();
  if (PyLong_Check(handle)) {
    PyErr_Format(PyExc_ValueError, "stream is %S: it must be the address of a CUstream, or 0",
                 handle);
  } else {
    PyErr_Format(PyExc_TypeError, "stream has a handle that is a %R: it must be an integer",
                 (PyObject *)Py_TYPE(handle));
  }
  return -1;
}

static int set_stream(PyObject *handle, CUstream *out) {
  if (!handle) return -1;
  const unsigned long long value = PyLong_AsUnsignedLongLong(handle);
  if (value == ULLONG_MAX && PyErr_Occurred()) return raise_no_handle(handle);
  *out = (CUstream)(uintptr_t)value;
  return 0;
}

/* object.__cuda_stream__() is (version, handle) */
static int set_by_protocol(PyObject *method, CUstream *out) {
  PyObject *pair = PyObject_CallObject(method, NULL);
  PyObject *handle = pair ? PySequence_GetItem(pair, 1) : NULL;
  const int result = set_stream(handle, out);
  Py_XDECREF(handle);
  Py_XDECREF(pair);
  return result;
}

int stream_choose(PyObject *argument, struct stream_choice *out) {
  *out = (struct stream_choice){false, NULL};
  if (!argument || Py_IsNone(argument)) return 0;
  out->given = true;
  if (PyLong_Check(argument)) return set_stream(argument, &out->stream);
  PyObject *method = optional_attribute(argument, name.cuda_stream_protocol);
  if (method) {
    const int result = set_by_protocol(method, &out->stream);
    Py_DECREF(method);
    return result;
  }
  PyObject *handle = PyErr_Occurred() ? NULL : optional_attribute(argument, name.cuda_stream);
  if (!handle && !PyErr_Occurred()) handle = optional_attribute(argument, name.ptr);
  if (!handle && !PyErr_Occurred()) {
    PyErr_Format(PyExc_TypeError,
                 "stream is a %R: it must be None, an integer, or an object with "
                 "__cuda_stream__, cuda_stream or ptr",
                 (PyObject *)Py_TYPE(argument));
  }
  const int result = set_stream(handle, &out->stream);
  Py_XDECREF(handle);
  return result;
}

/* torch.cuda.current_stream(device).cuda_stream, for a PyTorch without the C exchange API. */
static int set_by_torch(PyObject *torch, int32_t device, CUstream *out) {
  PyObject *cuda = PyObject_GetAttrString(torch, "cuda");
  PyObject *stream = cuda ? PyObject_CallMethod(cuda, "current_stream", "i", (int)device) : NULL;
  PyObject *handle = stream ? PyObject_GetAttr(stream, name.cuda_stream) : NULL;
  const int result = set_stream(handle, out);
  Py_XDECREF(handle);
  Py_XDECREF(stream);
  Py_XDECREF(cuda);
  return result;
}

/* 1: it is; 0: it is not, or PyTorch has not been imported. */
static int is_torch_tensor(PyObject *object, PyObject *torch) {
  if (!torch) return 0;
  PyObject *type = PyObject_GetAttrString(torch, "Tensor");
  const int result = type ? PyObject_IsInstance(object, type) : -1;
  Py_XDECREF(type);
  return result;
}

int stream_current(PyObject *object, const struct tensor *t, const struct stream_choice *choice,
                   CUstream *out) {
  *out = choice->stream;
  if (choice->given) return 0;
  const struct dlpack_exchange_api *api = exchange_api_of(Py_TYPE(object));
  if (api) {
    void *stream = NULL;
    if (api->current_work_stream(t->view.device.type, t->view.device.id, &stream) != 0) return -1;
    *out = (CUstream)stream;
    return 0;
  }
  if (t->has_stream) {
    *out = t->stream;
    return 0;
  }
  PyObject *torch = PyDict_GetItemString(PyImport_GetModuleDict(), "torch"); /* borrowed */
  const int is_torch = is_torch_tensor(object, torch);
  return is_torch == 1 ? set_by_torch(torch, t->view.device.id, out) : is_torch;
}
