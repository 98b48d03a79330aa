/*
 * Copies between host and device memory, and fills.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "contexts.h"
#include "memory.h"

static void *host_pointer(CUdeviceptr pointer) { return (void *)(uintptr_t)pointer; }

/* Pinned memory is read and written when the operation runs, pageable memory during the call. */
static CUresult copy_to_device(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  if (!memory_is_device(host_pointer(to), bytes) || !from) return CUDA_ERROR_INVALID_VALUE;
  const bool snapshot = !stream->capture && !memory_is_pinned(from);
  struct operation *op = operation_create(OPERATION_COPY, snapshot ? bytes : 0);
  if (!op) return CUDA_ERROR_OUT_OF_MEMORY;
  op->to = host_pointer(to);
  op->to_device = true;
  op->bytes = bytes;
  op->from = snapshot ? memcpy(op->data, from, bytes) : from;
  return stream_enqueue(stream, op);
}

static CUresult copy_to_host(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  if (!memory_is_device(host_pointer(from), bytes) || !to) return CUDA_ERROR_INVALID_VALUE;
  struct operation *op = operation_create(OPERATION_COPY, 0);
  if (!op) return CUDA_ERROR_OUT_OF_MEMORY;
  op->to = to;
  op->from = host_pointer(from);
  op->from_device = true;
  op->bytes = bytes;
  const bool wait = !stream->capture && !memory_is_pinned(to);
  const CUresult result = stream_enqueue(stream, op);
  if (wait) stream_flush(stream);
  return result != CUDA_SUCCESS ? result : stream->handle.owner->failure;
}

/* The synchronous copies go through the default stream and wait for it. */
static CUresult finish_default_stream(CUresult result) {
  CUcontext context = context_current();
  if (result != CUDA_SUCCESS) return result;
  stream_flush(&context->default_stream);
  return context->failure;
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS) {
    result =
        finish_default_stream(copy_to_device(to, from, bytes, &context_current()->default_stream));
  }
  return fake_cuda_leave(result);
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS) {
    result =
        finish_default_stream(copy_to_host(to, from, bytes, &context_current()->default_stream));
  }
  return fake_cuda_leave(result);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream given) {
  CUstream stream = NULL;
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS) result = stream_find(given, &stream);
  if (result == CUDA_SUCCESS) result = copy_to_device(to, from, bytes, stream);
  return fake_cuda_leave(result);
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream given) {
  CUstream stream = NULL;
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS) result = stream_find(given, &stream);
  if (result == CUDA_SUCCESS) result = copy_to_host(to, from, bytes, stream);
  return fake_cuda_leave(result);
}

static CUresult fill(CUdeviceptr to, unsigned int word, size_t count, CUstream stream) {
  const bool fits = count <= SIZE_MAX / sizeof word;
  if (!fits || to % sizeof word != 0 || !memory_is_device(host_pointer(to), count * sizeof word)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  struct operation *op = operation_create(OPERATION_FILL, 0);
  if (!op) return CUDA_ERROR_OUT_OF_MEMORY;
  op->to = host_pointer(to);
  op->to_device = true;
  op->bytes = count * sizeof word;
  op->word = word;
  return stream_enqueue(stream, op);
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int word, size_t count, CUstream given) {
  CUstream stream = NULL;
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS) result = stream_find(given, &stream);
  if (result == CUDA_SUCCESS) result = fill(to, word, count, stream);
  return fake_cuda_leave(result);
}
