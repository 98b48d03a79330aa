/*
 * Device memory and pinned host memory: allocation and release.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "memory.h"

#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "contexts.h"
#include "devices.h"

/* What cuMemAlloc guarantees, and how much new memory is filled with noise. */
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

bool memory_is_pinned(const void *at) { return find_around(HANDLE_HOST_MEMORY, at, 1) != NULL; }

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

/* New memory holds noise, at least at its start: nobody may count on zeros. */
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
  if (result == CUDA_SUCCESS) result = allocate(HANDLE_HOST_MEMORY, bytes, &base);
  if (result == CUDA_SUCCESS) *pointer = base;
  return fake_cuda_leave(result);
}

CUresult cuMemFreeHost(void *pointer) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS) result = release(HANDLE_HOST_MEMORY, (uintptr_t)pointer);
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
