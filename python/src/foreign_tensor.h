/*
 * foreign_tensor.h: tensors whose type has no C exchange API.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_FOREIGN_TENSOR_H
#define UDM_PYTHON_FOREIGN_TENSOR_H

#include "tensor.h"

/*
 * Reads object by the first of these protocols that it has: data_ptr(), shape, stride(),
 * dtype and device (PyTorch before 2.10); __cuda_array_interface__ (CuPy,
 * Numba); __dlpack__ (JAX, NumPy), which orders its work before consumer.
 * Returns -1 with an exception set: a TypeError if it has none of them.
 */
int foreign_tensor_read(PyObject *object, const struct tensor_name *about, CUstream consumer,
                        struct tensor *out);

/* The number in text if that is digits alone and 1 to most; else 0. */
int small_number(const char *text, int most);

/* The attribute, or NULL. A missing attribute sets no exception. */
PyObject *optional_attribute(PyObject *object, PyObject *attribute);

#endif
