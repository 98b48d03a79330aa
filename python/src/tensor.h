/*
 * tensor.h: a framework's tensor as this extension sees it, and the checks
 * that name the tensor when one fails.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_TENSOR_H
#define UDM_PYTHON_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "dlpack.h"
#include "errors.h"
#include "python_api.h"

enum { TENSOR_DIMENSIONS = 2 }; /* no argument has more */

typedef struct tensor {
  CUdeviceptr data;
  dlpack_device device;
  dlpack_data_type dtype;
  int32_t ndim;
  bool read_only;
  bool has_stream; /* the object itself named its stream */
  CUstream stream;
  int64_t shape[TENSOR_DIMENSIONS];
  int64_t strides[TENSOR_DIMENSIONS]; /* in elements */
} tensor;

/*
 * Reads object without copying or synchronising: by the C exchange API of its
 * type, else as foreign_tensor.h says. consumer is the stream that will use
 * it, for protocols that order their own work before it.
 */
int tensor_read(PyObject *object, const tensor_name *about, CUstream consumer, tensor *out);

void tensor_from_dlpack(const dlpack_tensor *from, tensor *out);

/* On the GPU with that number; -1: on any. */
int tensor_check_device(const tensor *t, const tensor_name *about, int32_t device);

/* int32, or int64 too. */
int tensor_check_int32(const tensor *t, const tensor_name *about);
int tensor_check_int32_or_int64(const tensor *t, const tensor_name *about);

int tensor_check_writable(const tensor *t, const tensor_name *about);

/* [>= length], contiguous. */
int tensor_check_vector(const tensor *t, const tensor_name *about, int64_t length);

/* [>= rows, any], with contiguous rows. */
int tensor_check_matrix(const tensor *t, const tensor_name *about, int64_t rows);

#endif
