/*
 * stream.h: the stream a call launches on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_STREAM_H
#define UDM_PYTHON_STREAM_H

#include "tensor.h"

/* What the caller said: nothing (the framework's current stream), or this one. */
struct stream_choice {
  bool given;
  CUstream stream;
};

/* From None or NULL, an integer, or an object with __cuda_stream__, cuda_stream or ptr. */
int stream_choose(PyObject *argument, struct stream_choice *out);

/*
 * The stream given, else the current one of object's framework on its device;
 * the default stream for frameworks that have none (JAX).
 */
int stream_current(PyObject *object, const struct tensor *t, const struct stream_choice *choice,
                   CUstream *out);

#endif
