/*
 * tensor.h: a framework's tensor as this extension sees it, and the checks that
 * name the tensor if one fails. A call reads up to 60 tensors, and nearly all
 * are right: the code that finds nothing wrong is inline.
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
  const struct dlpack_exchange_api *api; /* NULL: it has none */
};

/* The type asked for last, which is also that of the next tensor, nearly always. */
extern struct known_type exchange_api_last;

/* Any other type. */
const struct dlpack_exchange_api *exchange_api_find(PyTypeObject *type);

/* NULL, with no exception set, when the type has none that is known here. */
static inline const struct dlpack_exchange_api *exchange_api_of(PyTypeObject *type) {
  return exchange_api_last.type == type ? exchange_api_last.api : exchange_api_find(type);
}

enum { TENSOR_DIMENSIONS = 2 }; /* no argument has more */

struct tensor {
  struct dlpack_tensor view; /* as it was lent; with strides. The object must live, and no Python
                         code run, while shape and strides are read */
  bool read_only;
  bool has_stream; /* the object itself named its stream */
  CUstream stream;
  int64_t own_shape[TENSOR_DIMENSIONS]; /* what view points at where nothing was lent */
  int64_t own_strides[TENSOR_DIMENSIONS];
};

static inline CUdeviceptr tensor_data(const struct tensor *t) {
  return (CUdeviceptr)(uintptr_t)t->view.data + t->view.byte_offset;
}

/* For shape and strides that will not live as long; and to add strides where there are none. */
void tensor_copy_view(const struct dlpack_tensor *from, struct tensor *out);

/* Where the type has no C exchange API (NULL), or one that lends no view. */
int tensor_read_otherwise(const struct dlpack_exchange_api *api, PyObject *object,
                          const struct tensor_name *about, CUstream consumer, struct tensor *out);

/*
 * Reads object without copying or synchronising: by the C exchange API of its
 * type, else as foreign_tensor.h says. consumer is the stream that will use
 * it, for protocols that order their own work before it.
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

/* These raise what is wrong, or find that nothing is. */
int tensor_explain_device(const struct tensor *t, const struct tensor_name *about, int32_t device);
int tensor_explain_dtype(const struct tensor *t, const struct tensor_name *about,
                         const char *wanted);
int tensor_explain_read_only(const struct tensor_name *about);
int tensor_explain_vector(const struct tensor *t, const struct tensor_name *about, int64_t length);
int tensor_explain_matrix(const struct tensor *t, const struct tensor_name *about, int64_t rows);

/* On the GPU with that number; -1: on any. */
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
