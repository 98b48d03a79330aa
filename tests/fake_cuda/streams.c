/*
 * Streams and the order between them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "streams.h"

#include <stdlib.h>

#include "calls.h"
#include "contexts.h"
#include "graphs.h"

/* The special handles CU_STREAM_LEGACY and CU_STREAM_PER_THREAD. */
static bool is_default(CUstream given) { return (uintptr_t)given <= 2; }

CUresult stream_find(CUstream given, CUstream *stream) {
  if (is_default(given)) {
    *stream = &context_current()->default_stream;
    return CUDA_SUCCESS;
  }
  if (!handle_is_live(given, HANDLE_STREAM)) return CUDA_ERROR_INVALID_HANDLE;
  *stream = given;
  return given->handle.owner->failure;
}

static bool is_blocking(CUstream stream) { return (stream->flags & CU_STREAM_NON_BLOCKING) == 0; }

void stream_flush(CUstream stream) {
  CUcontext context = stream->handle.owner;
  for (struct operation *op = operation_take(&stream->pending); op;
       op = operation_take(&stream->pending)) {
    /* events complete even then, or they would wait for a stream that is gone */
    if (context->failure == CUDA_SUCCESS || op->kind == OPERATION_EVENT) {
      const CUresult result = operation_execute(op);
      if (context->failure == CUDA_SUCCESS) context->failure = result;
    }
    free(op);
  }
}

/* The default stream waits for the blocking ones, and they for it. */
static CUresult order_with_default_stream(CUstream stream) {
  CUcontext context = stream->handle.owner;
  if (stream != &context->default_stream) {
    if (is_blocking(stream)) stream_flush(&context->default_stream);
    return CUDA_SUCCESS;
  }
  for (struct handle *h = handle_next(HANDLE_STREAM, NULL); h; h = handle_next(HANDLE_STREAM, h)) {
    CUstream other = (CUstream)(void *)h;
    if (h->owner != context || !is_blocking(other)) continue;
    if (other->capture) {
      capture_invalidate(other->capture);
      return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    }
    stream_flush(other);
  }
  return CUDA_SUCCESS;
}

CUresult stream_enqueue(CUstream stream, struct operation *op) {
  if (stream->capture) return capture_record(stream->capture, op);
  const CUresult result = order_with_default_stream(stream);
  if (result != CUDA_SUCCESS) {
    free(op);
    return result;
  }
  operation_append(&stream->pending, op);
  if (fake_cuda_random() % 2 == 0) stream_flush(stream);
  return CUDA_SUCCESS;
}

static void destroy_stream(struct handle *object) {
  CUstream stream = (CUstream)(void *)object;
  stream_flush(stream);
  if (stream->capture) capture_discard(stream->capture);
  free(stream);
}

CUresult cuStreamCreate(CUstream *stream, unsigned int flags) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS && flags > CU_STREAM_NON_BLOCKING) result = CUDA_ERROR_INVALID_VALUE;
  if (result == CUDA_SUCCESS) {
    CUstream created = calloc(1, sizeof *created);
    if (created) {
      handle_register(&created->handle, HANDLE_STREAM, context_current(), destroy_stream);
      created->flags = flags;
      *stream = created;
    } else {
      result = CUDA_ERROR_OUT_OF_MEMORY;
    }
  }
  return fake_cuda_leave(result);
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && !handle_is_live(stream, HANDLE_STREAM)) {
    result = CUDA_ERROR_INVALID_HANDLE;
  }
  if (result == CUDA_SUCCESS) handle_destroy(&stream->handle);
  return fake_cuda_leave(result);
}

CUresult cuStreamSynchronize(CUstream given) {
  CUstream stream = NULL;
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS) result = stream_find(given, &stream);
  if (result == CUDA_SUCCESS && stream->capture) {
    capture_invalidate(stream->capture);
    result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  if (result == CUDA_SUCCESS) result = order_with_default_stream(stream);
  if (result == CUDA_SUCCESS) {
    stream_flush(stream);
    result = stream->handle.owner->failure;
  }
  return fake_cuda_leave(result);
}
