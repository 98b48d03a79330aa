/*
 * Streams: queues of operations. An operation runs some time between its call
 * and the next synchronisation, as on a GPU: a program that looks too early,
 * or reuses memory too early, is caught on some seed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_STREAMS_H
#define UDM_TESTS_STREAMS_H

#include "handles.h"
#include "operations.h"

struct capture; /* graphs.h */

struct CUstream_st {
  struct handle handle;
  unsigned int flags;
  struct operation_list pending;
  struct capture *capture; /* NULL while nothing is captured */
};

/*
 * The stream that a caller means, of the current context or another; NULL
 * means the current context's default stream. CUDA_ERROR_INVALID_HANDLE for
 * one that is not alive.
 */
CUresult stream_find(CUstream given, CUstream *stream);

/*
 * Hands the operation to the stream, or to the graph that it captures; it
 * belongs to them then, also on failure.
 */
CUresult stream_enqueue(CUstream stream, struct operation *op);

/* Runs all that is pending. A failure is kept in the context. */
void stream_flush(CUstream stream);

#endif
