/*
 * memory.c: device memory and pinned host memory (both are host memory here), copies and fills.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

/* cuMemAlloc guarantees the alignment. New memory holds noise up to NOISE_BYTES. */
enum { ALIGNMENT = 256, NOISE_BYTES = 1 << 20 };

struct allocation {
  struct handle handle;
  unsigned char *base;
  size_t bytes;
};

static const struct allocation *find_around(enum handle_kind kind, const void *at, size_t bytes) {
  const uintptr_t first = (uintptr_t)at;
  for (const struct handle *h = handle_next(kind, NULL); h; h = handle_next(kind, h)) {
    const struct allocation *a = (const struct allocation *)(const void *)h;
    const uintptr_t base = (uintptr_t)a->base;
    if (first >= base && first - base <= a->bytes && bytes <= a->bytes - (first - base)) {
      return a;
    }
  }
  return NULL;
}

bool memory_is_device(const void *at, size_t bytes) {
  return find_around(HANDLE_DEVICE_MEMORY, at, bytes) != NULL;
}

bool memory_is_pinned(const void *at) { return find_around(HANDLE_PINNED_MEMORY, at, 1) != NULL; }

static struct allocation *find(enum handle_kind kind, uintptr_t base) {
  for (struct handle *h = handle_next(kind, NULL); h; h = handle_next(kind, h)) {
    struct allocation *a = (struct allocation *)(void *)h;
    if ((uintptr_t)a->base == base) return a;
  }
  return NULL;
}

static void destroy_allocation(struct handle *object) {
  struct allocation *a = (struct allocation *)(void *)object;
  if (object->kind == HANDLE_DEVICE_MEMORY) {
    device_get(object->owner->device)->allocated -= a->bytes;
  }
  free(a->base);
  free(a);
}

/* So that nobody counts on zeros. */
static void fill_with_noise(unsigned char *base, size_t bytes) {
  for (size_t at = 0; at < bytes && at < NOISE_BYTES; ++at) {
    base[at] = (unsigned char)fake_cuda_random();
  }
}

static CUresult allocate(enum handle_kind kind, size_t bytes, unsigned char **base) {
  struct device *d = device_get(context_current()->device);
  const bool on_device = kind == HANDLE_DEVICE_MEMORY;
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (on_device && bytes > DEVICE_MEMORY_BYTES - d->allocated) return CUDA_ERROR_OUT_OF_MEMORY;
  struct allocation *a = calloc(1, sizeof *a);
  void *memory = NULL;
  if (!a || posix_memalign(&memory, ALIGNMENT, bytes) != 0) {
    free(a);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  handle_register(&a->handle, kind, context_current(), destroy_allocation);
  a->base = memory;
  a->bytes = bytes;
  if (on_device) d->allocated += bytes;
  fill_with_noise(a->base, bytes);
  *base = a->base;
  return CUDA_SUCCESS;
}

/* Waits for the context's streams first, as the driver does. */
static CUresult release(enum handle_kind kind, uintptr_t base) {
  struct allocation *a = find(kind, base);
  if (!a) return CUDA_ERROR_INVALID_VALUE;
  const CUresult result = context_synchronise(a->handle.owner);
  handle_destroy(&a->handle);
  return result;
}

CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes) {
  unsigned char *base = NULL;
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS) result = allocate(HANDLE_DEVICE_MEMORY, bytes, &base);
  if (result == CUDA_SUCCESS) *pointer = (CUdeviceptr)(uintptr_t)base;
  return fake_cuda_leave(result);
}

CUresult cuMemFree_v2(CUdeviceptr pointer) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS && pointer != 0) {
    result = release(HANDLE_DEVICE_MEMORY, (uintptr_t)pointer);
  }
  return fake_cuda_leave(result);
}

CUresult cuMemAllocHost_v2(void **pointer, size_t bytes) {
  unsigned char *base = NULL;
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS) result = allocate(HANDLE_PINNED_MEMORY, bytes, &base);
  if (result == CUDA_SUCCESS) *pointer = base;
  return fake_cuda_leave(result);
}

CUresult cuMemFreeHost(void *pointer) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS) result = release(HANDLE_PINNED_MEMORY, (uintptr_t)pointer);
  return fake_cuda_leave(result);
}

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

CUresult cuPointerGetAttribute(void *value, CUpointer_attribute attribute, CUdeviceptr pointer) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS) {
    const struct allocation *a =
        find_around(HANDLE_DEVICE_MEMORY, (const void *)(uintptr_t)pointer, 1);
    if (a && (int)attribute == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) {
      *(int *)value = a->handle.owner->device;
    } else {
      result = CUDA_ERROR_INVALID_VALUE;
    }
  }
  return fake_cuda_leave(result);
}
