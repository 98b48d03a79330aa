/*
 * decode.h: the drop-in functions, and the launch that they share with Plan.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_DECODE_H
#define UDM_PYTHON_DECODE_H

#include "binding.h"
#include "cuda_device.h"
#include "python_api.h"

/* METH_FASTCALL | METH_KEYWORDS */
PyObject *unified_decode_metadata_cuda_direct(PyObject *module, PyObject *const *arguments,
                                              Py_ssize_t given, PyObject *keyword_names);
PyObject *unified_decode_metadata_cuda(PyObject *module, PyObject *const *arguments,
                                       Py_ssize_t given, PyObject *keyword_names);

extern const char unified_decode_metadata_cuda_direct_doc[];
extern const char unified_decode_metadata_cuda_doc[];

/* Launches the bound call on stream. */
int launch_direct(const struct binding *b, CUstream stream);

#endif
