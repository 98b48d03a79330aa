/*
 * foreign_protocols.h: reading a tensor through a protocol that is made of
 * Python objects, and the parts that the protocols share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_FOREIGN_PROTOCOLS_H
#define UDM_PYTHON_FOREIGN_PROTOCOLS_H

#include "tensor.h"

/* value is the attribute __cuda_array_interface__, or __dlpack__, of object. */
int read_cuda_array_interface(PyObject *object, PyObject *value, CUstream consumer,
                              struct tensor *out);
int read_dlpack(PyObject *object, PyObject *value, CUstream consumer, struct tensor *out);

/* -1 with an exception set, also when value is NULL. */
int read_integer(PyObject *value, int64_t *out);

/* The first TENSOR_DIMENSIONS integers of a sequence, and how many it has. */
int read_integers(PyObject *sequence, int64_t *out, Py_ssize_t *count);

/* From "int32" or "torch.int32"; a dtype of no kind for what is not understood. */
void set_dtype(const char *text, struct tensor *out);

/* The number that text is, digits alone, of 1 to most; else 0. */
int small_number(const char *text, int most);

/* -1 with an exception set where they have no room in a tensor. */
int set_device(int64_t type, int64_t number, struct tensor *out);

/* The attribute, or NULL: without an exception when it is not there. */
PyObject *optional_attribute(PyObject *object, PyObject *attribute);

#endif
