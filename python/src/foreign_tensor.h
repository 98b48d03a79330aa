/*
 * foreign_tensor.h: tensors whose type has no C exchange API.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_FOREIGN_TENSOR_H
#define UDM_PYTHON_FOREIGN_TENSOR_H

#include "tensor.h"

/*
 * Reads object by the first of these that it has: data_ptr(), shape, stride(),
 * dtype and device (PyTorch before 2.10); __cuda_array_interface__ (CuPy,
 * Numba); __dlpack__ (JAX, NumPy), told to order its work before consumer.
 * -1 with an exception set, a TypeError when it has none.
 */
int foreign_tensor_read(PyObject *object, const struct tensor_name *about, CUstream consumer,
                        struct tensor *out);

/* The number that text is, digits alone, of 1 to most; else 0. */
int small_number(const char *text, int most);

/* The attribute, or NULL: without an exception when it is not there. */
PyObject *optional_attribute(PyObject *object, PyObject *attribute);

#endif
