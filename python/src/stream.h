/*
 * stream.h: the stream that a call launches on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_STREAM_H
#define UDM_PYTHON_STREAM_H

#include "tensor.h"

/* The caller's stream, if given; else the framework's current one. */
struct stream_choice {
  bool given;
  CUstream stream;
};

/* Reads None or NULL, an integer, or an object with __cuda_stream__, cuda_stream or ptr. */
int stream_choose(PyObject *argument, struct stream_choice *out);

/*
 * The stream that the caller chose; else the current stream of object's framework
 * on its device; the default stream if the framework has none (JAX).
 */
int stream_current(PyObject *object, const struct tensor *t, const struct stream_choice *choice,
                   CUstream *out);

#endif
