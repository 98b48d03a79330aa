/*
 * foreign_tensor.c: reads tensors through protocols made of Python objects:
 * PyTorch's attributes, __cuda_array_interface__ and __dlpack__.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "foreign_tensor.h"

#include <string.h>

#include "cuda_device.h"
#include "names.h"

static int set_device(int64_t type, int64_t number, struct tensor *out) {
  if (type < INT32_MIN || type > INT32_MAX || number < INT32_MIN || number > INT32_MAX) {
    PyErr_Format(PyExc_ValueError, "its device number is %lld, and its kind of device %lld",
                 (long long)number, (long long)type);
    return -1;
  }
  out->view.device = (struct dlpack_device){(int32_t)type, (int32_t)number};
  return 0;
}

/* The attribute, or NULL: without an exception when it is not there. */
PyObject *optional_attribute(PyObject *object, PyObject *attribute) {
  PyObject *value = PyObject_GetAttr(object, attribute);
  if (!value && PyErr_ExceptionMatches(PyExc_AttributeError)) PyErr_Clear();
  return value;
}

static int read_integer(PyObject *value, int64_t *out) {
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

static int read_integers(PyObject *sequence, int64_t *out, Py_ssize_t *count) {
  *count = PySequence_Size(sequence);
  if (*count < 0) return -1;
  for (Py_ssize_t i = 0; i < *count && i < TENSOR_DIMENSIONS; ++i) {
    if (take_integer(PySequence_GetItem(sequence, i), &out[i]) < 0) return -1;
  }
  return 0;
}

/* obj.__dlpack__(stream=..., max_version=(1, 0)); older producers do not know max_version, and
   those of host memory take no stream. */
static PyObject *call_dlpack(PyObject *method, bool is_host, CUstream consumer) {
  PyObject *arguments = PyTuple_New(0);
  PyObject *keywords = arguments ? PyDict_New() : NULL;
  PyObject *version = keywords ? Py_BuildValue("(ii)", DLPACK_MAJOR, 0) : NULL;
  PyObject *stream =
      version ? PyLong_FromUnsignedLongLong(consumer ? (unsigned long long)(uintptr_t)consumer : 1)
              : NULL;
  PyObject *capsule = NULL;
  if (stream && (is_host || PyDict_SetItemString(keywords, "stream", stream) == 0) &&
      PyDict_SetItemString(keywords, "max_version", version) == 0) {
    capsule = PyObject_Call(method, arguments, keywords);
    if (!capsule && PyErr_ExceptionMatches(PyExc_TypeError)) {
      PyErr_Clear();
      if (PyDict_DelItemString(keywords, "max_version") == 0) {
        capsule = PyObject_Call(method, arguments, keywords);
      }
    }
  }
  Py_XDECREF(stream);
  Py_XDECREF(version);
  Py_XDECREF(keywords);
  Py_XDECREF(arguments);
  return capsule;
}

/* The capsule stays the producer's: it frees what it holds with the capsule. */
static int read_capsule(PyObject *capsule, struct tensor *out) {
  if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
    const struct dlpack_managed_versioned *managed =
        PyCapsule_GetPointer(capsule, "dltensor_versioned");
    if (managed->version.major != DLPACK_MAJOR || (managed->flags & DLPACK_IS_COPIED)) {
      PyErr_SetString(PyExc_BufferError,
                      "__dlpack__ gave a copy, or a version of DLPack that is not known");
      return -1;
    }
    tensor_copy_view(&managed->tensor, out);
    out->read_only = (managed->flags & DLPACK_READ_ONLY) != 0;
    return 0;
  }
  const struct dlpack_managed *managed = PyCapsule_GetPointer(capsule, "dltensor");
  if (!managed) return -1;
  tensor_copy_view(&managed->tensor, out);
  return 0;
}

static int read_dlpack(PyObject *object, PyObject *value, CUstream consumer, struct tensor *out) {
  int64_t device[TENSOR_DIMENSIONS] = {0, 0};
  Py_ssize_t count = 0;
  PyObject *numbers = PyObject_CallMethodObjArgs(object, name.dlpack_device, NULL);
  const int known = numbers ? read_integers(numbers, device, &count) : -1;
  Py_XDECREF(numbers);
  if (known < 0) return -1;
  PyObject *capsule = call_dlpack(value, device[0] == DLPACK_CPU, consumer);
  if (!capsule) return -1;
  const int result = read_capsule(capsule, out);
  Py_DECREF(capsule);
  return result;
}

/* (address, read-only) */
static int read_data(PyObject *data, struct tensor *out) {
  PyObject *address = data ? PySequence_GetItem(data, 0) : NULL;
  PyObject *read_only = address ? PySequence_GetItem(data, 1) : NULL;
  if (read_only) {
    out->view.data = (void *)(uintptr_t)PyLong_AsUnsignedLongLong(address);
    out->read_only = PyObject_IsTrue(read_only) == 1;
  } else if (!PyErr_Occurred()) {
    PyErr_SetString(PyExc_TypeError, "the array interface has no data");
  }
  Py_XDECREF(read_only);
  Py_XDECREF(address);
  return PyErr_Occurred() ? -1 : 0;
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

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OTHER_BYTE_ORDER '>'
#else
#define OTHER_BYTE_ORDER '<'
#endif

/* "<i4": a 4-byte signed integer, lowest byte first. */
static int read_typestr(PyObject *typestr, struct tensor *out) {
  const char *text = typestr ? PyUnicode_AsUTF8AndSize(typestr, NULL) : NULL;
  if (!text || strlen(text) < 3) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "the array interface has no typestr");
    return -1;
  }
  if (text[0] == OTHER_BYTE_ORDER) {
    PyErr_Format(PyExc_TypeError, "its typestr %R is in the byte order of other machines", typestr);
    return -1;
  }
  const int bytes = small_number(text + 2, 16);
  static const char kinds[] = "iufcb";
  static const uint8_t codes[] = {DLPACK_INT, DLPACK_UINT, DLPACK_FLOAT, DLPACK_COMPLEX,
                                  DLPACK_BOOL};
  const char *kind = strchr(kinds, text[1]);
  if (!kind || !bytes) {
    PyErr_Format(PyExc_TypeError, "its typestr %R is none of a number", typestr);
    return -1;
  }
  out->view.dtype = (struct dlpack_data_type){codes[kind - kinds], (uint8_t)(8 * bytes), 1};
  return 0;
}

/* In bytes there, in elements here; NULL or None: compact, row-major. */
static int read_strides(PyObject *strides, Py_ssize_t dimensions, struct tensor *out) {
  const int64_t bytes = out->view.dtype.bits / 8;
  if (!strides || Py_IsNone(strides)) {
    out->own_strides[0] = dimensions == 2 ? out->own_shape[1] : 1;
    out->own_strides[1] = 1;
    return 0;
  }
  Py_ssize_t count = 0;
  if (read_integers(strides, out->own_strides, &count) < 0) return -1;
  if (count != dimensions) {
    PyErr_SetString(PyExc_TypeError, "its shape and strides are of different lengths");
    return -1;
  }
  for (Py_ssize_t i = 0; i < count && i < TENSOR_DIMENSIONS; ++i) {
    if (out->own_strides[i] % bytes != 0) {
      PyErr_SetString(PyExc_ValueError, "a stride is no multiple of the element's size");
      return -1;
    }
    out->own_strides[i] /= bytes;
  }
  return 0;
}

/* 1 and 2 are the legacy and the per-thread default stream, as the driver has it. */
static int read_stream(PyObject *stream, struct tensor *out) {
  if (!stream || Py_IsNone(stream)) return 0;
  const unsigned long long handle = PyLong_AsUnsignedLongLong(stream);
  if (PyErr_Occurred()) return -1;
  out->has_stream = true;
  out->stream = (CUstream)(uintptr_t)handle;
  return 0;
}

/* The interface does not say which device: the array does, else the driver. */
static int read_array_device(PyObject *object, struct tensor *out) {
  int64_t numbers[TENSOR_DIMENSIONS] = {DLPACK_CUDA, 0};
  Py_ssize_t count = 0;
  PyObject *method = optional_attribute(object, name.dlpack_device);
  if (!method) {
    if (PyErr_Occurred()) return -1;
    out->view.device = (struct dlpack_device){DLPACK_CUDA, 0};
    return cuda_device_of_pointer(tensor_data(out), &out->view.device.id);
  }
  PyObject *device = PyObject_CallObject(method, NULL);
  Py_DECREF(method);
  const int result = device ? read_integers(device, numbers, &count) : -1;
  Py_XDECREF(device);
  return result == 0 ? set_device(numbers[0], numbers[1], out) : -1;
}

/* Elements that do not count are none that a kernel could leave out. */
static int check_mask(PyObject *mask) {
  if (!mask || Py_IsNone(mask)) return 0;
  PyErr_SetString(PyExc_ValueError, "it has a mask: masked arrays are not taken, pass its data");
  return -1;
}

static int read_cuda_array_interface(PyObject *object, PyObject *value, CUstream consumer,
                                     struct tensor *out) {
  (void)consumer; /* the interface names the producer's stream instead */
  if (!PyDict_Check(value)) {
    PyErr_SetString(PyExc_TypeError, "__cuda_array_interface__ is no dict");
    return -1;
  }
  Py_ssize_t dimensions = 0;
  PyObject *shape = PyDict_GetItemString(value, "shape");
  if (!shape) {
    PyErr_SetString(PyExc_TypeError, "the array interface has no shape");
    return -1;
  }
  if (read_integers(shape, out->own_shape, &dimensions) < 0) return -1;
  out->view.ndim = (int32_t)dimensions;
  if (check_mask(PyDict_GetItemString(value, "mask")) < 0) return -1;
  if (read_typestr(PyDict_GetItemString(value, "typestr"), out) < 0) return -1;
  if (read_data(PyDict_GetItemString(value, "data"), out) < 0) return -1;
  if (read_strides(PyDict_GetItemString(value, "strides"), dimensions, out) < 0) return -1;
  if (read_stream(PyDict_GetItemString(value, "stream"), out) < 0) return -1;
  return read_array_device(object, out);
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

static void set_dtype(const char *text, struct tensor *out) {
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

static int read_by_data_ptr(PyObject *object, PyObject *data_ptr, struct tensor *out) {
  PyObject *address = PyObject_CallObject(data_ptr, NULL);
  if (!address) return -1;
  out->view.data = (void *)(uintptr_t)PyLong_AsUnsignedLongLong(address);
  Py_DECREF(address);
  if (PyErr_Occurred()) return -1;
  if (read_shape(object, out) < 0 || read_dtype(object, out) < 0) return -1;
  return read_device(object, out);
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
