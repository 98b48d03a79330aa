/*
 * tensor.h: a framework's tensor as this extension sees it, and the checks, each
 * of which names the tensor that fails it. A call reads up to 60 tensors, and
 * nearly all pass: the code for those is inline.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_TENSOR_H
#define UDM_PYTHON_TENSOR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dlpack.h"
#include "errors.h"
#include "python_api.h"

struct known_type {
  PyTypeObject *type;
  const struct dlpack_exchange_api *api; /* NULL if it has none */
};

/* The type looked up last: nearly always the type of the next tensor, too. */
extern struct known_type exchange_api_last;

/* Looks up any other type. */
const struct dlpack_exchange_api *exchange_api_find(PyTypeObject *type);

/* NULL, with no exception set, if the type has none that udm knows. */
static inline const struct dlpack_exchange_api *exchange_api_of(PyTypeObject *type) {
  return exchange_api_last.type == type ? exchange_api_last.api : exchange_api_find(type);
}

enum { TENSOR_DIMENSIONS = 2 }; /* no argument has more */

struct tensor {
  struct dlpack_tensor view; /* as lent, with strides. While shape and strides are in use, the
                                object must live, and no Python code may run */
  bool read_only;
  bool has_stream; /* the object itself named its stream */
  CUstream stream;
  int64_t own_shape[TENSOR_DIMENSIONS]; /* view points at these two if nothing was lent */
  int64_t own_strides[TENSOR_DIMENSIONS];
};

static inline CUdeviceptr tensor_data(const struct tensor *t) {
  return (CUdeviceptr)(uintptr_t)t->view.data + t->view.byte_offset;
}

/* For shape and strides that do not live long enough, or strides that are missing. */
void tensor_copy_view(const struct dlpack_tensor *from, struct tensor *out);

/* For a type without a C exchange API (NULL), or with one that lends no view. */
int tensor_read_otherwise(const struct dlpack_exchange_api *api, PyObject *object,
                          const struct tensor_name *about, CUstream consumer, struct tensor *out);

/*
 * Reads object without copying or synchronising: by the C exchange API of its
 * type, else as foreign_tensor.h says. consumer is the stream that will use
 * it: some protocols order their own work before it.
 */
static inline int tensor_read(PyObject *object, const struct tensor_name *about, CUstream consumer,
                              struct tensor *out) {
  const struct dlpack_exchange_api *api = exchange_api_of(Py_TYPE(object));
  if (!api || !api->tensor_from_object) {
    return tensor_read_otherwise(api, object, about, consumer, out);
  }
  out->read_only = false;
  out->has_stream = false;
  if (api->tensor_from_object(object, &out->view) != 0) return raise_named(about);
  if (!out->view.strides) tensor_copy_view(&out->view, out);
  return 0;
}

/* These raise an exception that says what is wrong, or return 0 if nothing is. */
int tensor_explain_device(const struct tensor *t, const struct tensor_name *about, int32_t device);
int tensor_explain_dtype(const struct tensor *t, const struct tensor_name *about,
                         const char *wanted);
int tensor_explain_read_only(const struct tensor_name *about);
int tensor_explain_vector(const struct tensor *t, const struct tensor_name *about, int64_t length);
int tensor_explain_matrix(const struct tensor *t, const struct tensor_name *about, int64_t rows);

/* The tensor must be on that CUDA device; -1: on any. */
static inline int tensor_check_device(const struct tensor *t, const struct tensor_name *about,
                                      int32_t device) {
  if (t->view.device.type == DLPACK_CUDA && t->view.device.id == device) return 0;
  return tensor_explain_device(t, about, device);
}

static inline bool tensor_is_int(const struct tensor *t, uint8_t bits) {
  const struct dlpack_data_type wanted = {DLPACK_INT, bits, 1};
  return memcmp(&t->view.dtype, &wanted, sizeof wanted) == 0;
}

/* int32, or int64 too. */
static inline int tensor_check_int32(const struct tensor *t, const struct tensor_name *about) {
  return tensor_is_int(t, 32) ? 0 : tensor_explain_dtype(t, about, "int32");
}

static inline int tensor_check_int32_or_int64(const struct tensor *t,
                                              const struct tensor_name *about) {
  if (tensor_is_int(t, 64) || tensor_is_int(t, 32)) return 0;
  return tensor_explain_dtype(t, about, "int32 or int64");
}

static inline int tensor_check_writable(const struct tensor *t, const struct tensor_name *about) {
  return t->read_only ? tensor_explain_read_only(about) : 0;
}

/* [>= length], contiguous. */
static inline int tensor_check_vector(const struct tensor *t, const struct tensor_name *about,
                                      int64_t length) {
  if (t->view.ndim == 1 && t->view.shape[0] >= length && t->view.strides[0] == 1) return 0;
  return tensor_explain_vector(t, about, length);
}

/* [>= rows, any], with contiguous rows. */
static inline int tensor_check_matrix(const struct tensor *t, const struct tensor_name *about,
                                      int64_t rows) {
  if (t->view.ndim == 2 && t->view.shape[0] >= rows && t->view.strides[1] == 1) return 0;
  return tensor_explain_matrix(t, about, rows);
}

#endif
