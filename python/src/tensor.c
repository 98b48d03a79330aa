/*
 * tensor.c: finds the DLPack C exchange API of a type, reads tensors that lend
 * no view, and words what is wrong with a tensor that a check rejected.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tensor.h"

#include <stddef.h>

#include "foreign_tensor.h"
#include "names.h"

/*
 * Tensor, Parameter and what a server derives from them: a few. More only replace each other.
 * Types are owned, so that no other type can get the address of one.
 */
enum { KNOWN_TYPES = 16 };
static struct known_type known_types[KNOWN_TYPES];
static int next_slot;

struct known_type exchange_api_last; /* always one of them */

/* The table of the layout that is known here, from the chain that starts at header. */
static const struct dlpack_exchange_api *usable(const struct dlpack_exchange_header *header) {
  for (; header; header = header->previous) {
    if (header->version.major != DLPACK_MAJOR) continue;
    const struct dlpack_exchange_api *api =
        (const struct dlpack_exchange_api *)(const void *)header;
    return api->managed_tensor_from_object && api->current_work_stream ? api : NULL;
  }
  return NULL;
}

static const struct dlpack_exchange_api *look_up(PyTypeObject *type) {
  const struct dlpack_exchange_header *header = NULL;
  PyObject *capsule = PyObject_GetAttr((PyObject *)type, name.exchange_api);
  if (capsule && PyCapsule_IsValid(capsule, "dlpack_exchange_api")) {
    header = PyCapsule_GetPointer(capsule, "dlpack_exchange_api");
  }
  Py_XDECREF(capsule);
  PyErr_Clear();
  return usable(header);
}

const struct dlpack_exchange_api *exchange_api_find(PyTypeObject *type) {
  for (int i = 0; i < KNOWN_TYPES; ++i) {
    if (known_types[i].type != type) continue;
    exchange_api_last = known_types[i];
    return exchange_api_last.api;
  }
  const struct known_type found = {(PyTypeObject *)Py_NewRef((PyObject *)type), look_up(type)};
  PyTypeObject *replaced = known_types[next_slot].type;
  known_types[next_slot] = exchange_api_last = found;
  next_slot = (next_slot + 1) % KNOWN_TYPES;
  Py_XDECREF((PyObject *)replaced);
  return found.api;
}

void tensor_copy_view(const struct dlpack_tensor *from, struct tensor *out) {
  int64_t compact = 1;
  for (int32_t i = from->ndim - 1; i >= 0; --i) {
    if (i < TENSOR_DIMENSIONS) {
      out->own_shape[i] = from->shape[i];
      out->own_strides[i] = from->strides ? from->strides[i] : compact;
    }
    compact *= from->shape[i];
  }
  out->view = *from;
  out->view.shape = out->own_shape;
  out->view.strides = out->own_strides;
}

/* For a type that lends no view: a tensor of its own, given back at once. */
static int read_managed(const struct dlpack_exchange_api *api, PyObject *object,
                        const struct tensor_name *about, struct tensor *out) {
  struct dlpack_managed_versioned *managed = NULL;
  if (api->managed_tensor_from_object(object, &managed) != 0) return raise_named(about);
  out->has_stream = false;
  tensor_copy_view(&managed->tensor, out);
  out->read_only = (managed->flags & DLPACK_READ_ONLY) != 0;
  if (managed->deleter) managed->deleter(managed);
  return 0;
}

int tensor_read_otherwise(const struct dlpack_exchange_api *api, PyObject *object,
                          const struct tensor_name *about, CUstream consumer, struct tensor *out) {
  return api ? read_managed(api, object, about, out)
             : foreign_tensor_read(object, about, consumer, out);
}

int tensor_explain_device(const struct tensor *t, const struct tensor_name *about, int32_t device) {
  const int32_t type = t->view.device.type;
  if (type != DLPACK_CUDA && type != DLPACK_CUDA_MANAGED) {
    const bool is_host = type == DLPACK_CPU || type == DLPACK_CUDA_HOST;
    return raise_about(PyExc_ValueError, about, "is %s: it must be on a CUDA device",
                       is_host ? "on the CPU" : "on a device of another kind");
  }
  if (device < 0 || t->view.device.id == device) return 0;
  return raise_about(PyExc_ValueError, about,
                     "is on CUDA device %d, but seq_lens and the rest are on CUDA device %d",
                     (int)t->view.device.id, (int)device);
}

/* NULL: a kind that no framework has a word for. */
static const char *type_code_name(uint8_t code) {
  switch (code) {
    case DLPACK_INT:
      return "int";
    case DLPACK_UINT:
      return "uint";
    case DLPACK_FLOAT:
      return "float";
    case DLPACK_BFLOAT:
      return "bfloat";
    case DLPACK_COMPLEX:
      return "complex";
    case DLPACK_BOOL:
      return "bool";
    default:
      return NULL;
  }
}

int tensor_explain_dtype(const struct tensor *t, const struct tensor_name *about,
                         const char *wanted) {
  const struct dlpack_data_type *dtype = &t->view.dtype;
  const char *kind = type_code_name(dtype->code);
  char bits[16] = ""; /* "bool" has none, as frameworks spell it */
  if (dtype->code != DLPACK_BOOL) PyOS_snprintf(bits, sizeof bits, "%d", (int)dtype->bits);
  if (!kind || dtype->lanes != 1) {
    return raise_about(PyExc_TypeError, about, "has a dtype of another kind: it must be %s",
                       wanted);
  }
  return raise_about(PyExc_TypeError, about, "has dtype %s%s: it must be %s", kind, bits, wanted);
}

int tensor_explain_read_only(const struct tensor_name *about) {
  return raise_about(PyExc_ValueError, about, "is read-only, and it is an output");
}

static int check_dimensions(const struct tensor *t, const struct tensor_name *about, int32_t ndim) {
  if (t->view.ndim == ndim) return 0;
  return raise_about(PyExc_ValueError, about, "has %d dimensions: it must have %d",
                     (int)t->view.ndim, (int)ndim);
}

int tensor_explain_vector(const struct tensor *t, const struct tensor_name *about, int64_t length) {
  if (check_dimensions(t, about, 1) < 0) return -1;
  if (t->view.shape[0] < length) {
    return raise_about(PyExc_ValueError, about, "has %lld elements: it needs at least %lld",
                       (long long)t->view.shape[0], (long long)length);
  }
  if (length > 1 && t->view.strides[0] != 1) {
    return raise_about(PyExc_ValueError, about,
                       "has stride %lld: its last dimension must be contiguous",
                       (long long)t->view.strides[0]);
  }
  return 0;
}

int tensor_explain_matrix(const struct tensor *t, const struct tensor_name *about, int64_t rows) {
  if (check_dimensions(t, about, 2) < 0) return -1;
  if (t->view.shape[0] < rows) {
    return raise_about(PyExc_ValueError, about, "has %lld rows: it needs at least %lld",
                       (long long)t->view.shape[0], (long long)rows);
  }
  /* where there is no element there is no stride either: NumPy has 0 then */
  if (t->view.shape[0] > 0 && t->view.shape[1] > 1 && t->view.strides[1] != 1) {
    return raise_about(PyExc_ValueError, about,
                       "has stride %lld from column to column: its last dimension must be "
                       "contiguous",
                       (long long)t->view.strides[1]);
  }
  return 0;
}
