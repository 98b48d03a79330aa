/*
 * contexts.c: devices and contexts. Each thread has a stack of current contexts; each device has a
 * primary context. UDM_FAKE_CUDA_DEVICES="9.0,8.6" makes two devices of those compute capabilities,
 * "" none; the default is one 9.0. UDM_FAKE_CUDA_NAME is their name. The first cuInit reads both.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef FAKE_CUDA_VERSION
#define FAKE_CUDA_VERSION 13000
#endif

static struct device devices[MAX_DEVICES];
static int device_count;
static bool initialised;

bool devices_are_initialised(void) { return initialised; }

struct device *device_get(CUdevice ordinal) {
  return ordinal >= 0 && ordinal < device_count ? &devices[ordinal] : NULL;
}

int devices_driver_version(void) {
  const char *text = getenv("UDM_FAKE_CUDA_VERSION");
  return text ? atoi(text) : FAKE_CUDA_VERSION;
}

static void read_devices(void) {
  const char *rest = getenv("UDM_FAKE_CUDA_DEVICES");
  const char *name = getenv("UDM_FAKE_CUDA_NAME");
  if (!rest) rest = "9.0";
  device_count = 0;
  while (device_count < MAX_DEVICES) {
    int length = 0;
    struct device *d = &devices[device_count];
    if (sscanf(rest, "%d.%d%n", &d->major, &d->minor, &length) != 2) break;
    snprintf(d->name, sizeof d->name, "Fake GPU sm_%d%d", d->major, d->minor);
    if (name) snprintf(d->name, sizeof d->name, "%s", name);
    ++device_count;
    rest += length;
    if (*rest == ',') ++rest;
  }
}

CUresult cuInit(unsigned int flags) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_NOTHING);
  if (result == CUDA_SUCCESS && flags != 0) result = CUDA_ERROR_INVALID_VALUE;
  if (result == CUDA_SUCCESS && !initialised) {
    read_devices();
    initialised = device_count > 0;
    if (!initialised) result = CUDA_ERROR_NO_DEVICE;
  }
  return fake_cuda_leave(result);
}

CUresult cuDriverGetVersion(int *version) {
  const CUresult result = fake_cuda_enter(__func__, NEEDS_NOTHING);
  if (result == CUDA_SUCCESS) *version = devices_driver_version();
  return fake_cuda_leave(result);
}

CUresult cuDeviceGetCount(int *count) {
  const CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS) *count = device_count;
  return fake_cuda_leave(result);
}

CUresult cuDeviceGet(CUdevice *ordinal, int number) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && !device_get(number)) result = CUDA_ERROR_INVALID_DEVICE;
  if (result == CUDA_SUCCESS) *ordinal = number;
  return fake_cuda_leave(result);
}

CUresult cuDeviceGetName(char *name, int size, CUdevice ordinal) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && !device_get(ordinal)) result = CUDA_ERROR_INVALID_DEVICE;
  if (result == CUDA_SUCCESS && (!name || size <= 0)) result = CUDA_ERROR_INVALID_VALUE;
  if (result == CUDA_SUCCESS) snprintf(name, (size_t)size, "%s", device_get(ordinal)->name);
  return fake_cuda_leave(result);
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice ordinal) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && !device_get(ordinal)) result = CUDA_ERROR_INVALID_DEVICE;
  if (result == CUDA_SUCCESS) *bytes = DEVICE_MEMORY_BYTES;
  return fake_cuda_leave(result);
}

static CUresult get_attribute(int *value, CUdevice_attribute attribute, const struct device *d) {
  if (!d) return CUDA_ERROR_INVALID_DEVICE;
  switch ((int)attribute) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *value = 1024;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      *value = L2_CACHE_BYTES;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *value = MULTIPROCESSORS;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = d->major;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *value = d->minor;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice ordinal) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS) result = get_attribute(value, attribute, device_get(ordinal));
  return fake_cuda_leave(result);
}

enum { MAX_DEPTH = 64 };

static _Thread_local CUcontext stack[MAX_DEPTH];
static _Thread_local int depth;

CUcontext context_current(void) { return depth > 0 ? stack[depth - 1] : NULL; }

static bool is_live(CUcontext context) { return handle_is_live(context, HANDLE_CONTEXT); }

CUresult context_check_current(void) {
  const CUcontext context = context_current();
  if (!context) return CUDA_ERROR_INVALID_CONTEXT;
  if (!is_live(context)) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  return context->failure;
}

CUresult context_synchronise(CUcontext context) {
  stream_flush(&context->default_stream);
  for (struct handle *h = handle_next(HANDLE_STREAM, NULL); h; h = handle_next(HANDLE_STREAM, h)) {
    if (h->owner == context) stream_flush((CUstream)(void *)h);
  }
  return context->failure;
}

static void destroy_context(struct handle *object) {
  CUcontext context = (CUcontext)(void *)object;
  stream_flush(&context->default_stream);
  handle_destroy_all_of(context);
  free(context);
}

static CUcontext create_context(CUdevice ordinal, bool primary) {
  CUcontext context = calloc(1, sizeof *context);
  if (!context) return NULL;
  handle_register(&context->handle, HANDLE_CONTEXT, NULL, destroy_context);
  static unsigned long long last_id;
  context->id = ++last_id;
  context->device = ordinal;
  context->primary = primary;
  context->default_stream.handle.owner = context; /* not registered: it has no handle of its own */
  return context;
}

static CUresult push(CUcontext context) {
  if (!is_live(context)) return CUDA_ERROR_INVALID_CONTEXT;
  if (depth == MAX_DEPTH) return CUDA_ERROR_OUT_OF_MEMORY;
  stack[depth++] = context;
  return CUDA_SUCCESS;
}

CUresult cuCtxCreate_v2(CUcontext *context, unsigned int flags, CUdevice ordinal) {
  (void)flags; /* how to wait: nothing to do with it here */
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS && !device_get(ordinal)) result = CUDA_ERROR_INVALID_DEVICE;
  if (result == CUDA_SUCCESS && depth == MAX_DEPTH) result = CUDA_ERROR_OUT_OF_MEMORY;
  if (result == CUDA_SUCCESS) {
    *context = create_context(ordinal, false);
    result = *context ? push(*context) : CUDA_ERROR_OUT_OF_MEMORY;
  }
  return fake_cuda_leave(result);
}

CUresult cuCtxDestroy_v2(CUcontext context) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS && (!is_live(context) || context->primary)) {
    result = CUDA_ERROR_INVALID_CONTEXT;
  }
  if (result == CUDA_SUCCESS) {
    if (context_current() == context) --depth;
    handle_destroy(&context->handle);
  }
  return fake_cuda_leave(result);
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice ordinal) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  struct device *d = device_get(ordinal);
  if (result == CUDA_SUCCESS && !d) result = CUDA_ERROR_INVALID_DEVICE;
  if (result == CUDA_SUCCESS && !d->primary) {
    d->primary = create_context(ordinal, true);
    if (!d->primary) result = CUDA_ERROR_OUT_OF_MEMORY;
  }
  if (result == CUDA_SUCCESS) {
    ++d->primary_references;
    *context = d->primary;
  }
  return fake_cuda_leave(result);
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice ordinal) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  struct device *d = device_get(ordinal);
  if (result == CUDA_SUCCESS && !d) result = CUDA_ERROR_INVALID_DEVICE;
  if (result == CUDA_SUCCESS && !d->primary) result = CUDA_ERROR_INVALID_CONTEXT;
  if (result == CUDA_SUCCESS && --d->primary_references == 0) {
    handle_destroy(&d->primary->handle);
    d->primary = NULL;
  }
  return fake_cuda_leave(result);
}

CUresult cuCtxGetCurrent(CUcontext *context) {
  const CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS) *context = context_current();
  return fake_cuda_leave(result);
}

/* NULL takes the top off the stack; another context replaces it. */
CUresult cuCtxSetCurrent(CUcontext context) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && context && !is_live(context)) result = CUDA_ERROR_INVALID_CONTEXT;
  if (result == CUDA_SUCCESS) {
    if (depth > 0) --depth;
    if (context) result = push(context);
  }
  return fake_cuda_leave(result);
}

/* Ends the process for a destroyed context: a real driver accepts it and crashes later. */
CUresult cuCtxPushCurrent_v2(CUcontext context) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && context && !is_live(context)) {
    fprintf(stderr, "fake driver: cuCtxPushCurrent of a destroyed context\n");
    abort();
  }
  if (result == CUDA_SUCCESS) result = push(context);
  return fake_cuda_leave(result);
}

CUresult cuCtxPopCurrent_v2(CUcontext *context) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && depth == 0) result = CUDA_ERROR_INVALID_CONTEXT;
  if (result == CUDA_SUCCESS) {
    --depth;
    if (context) *context = stack[depth];
  }
  return fake_cuda_leave(result);
}

CUresult cuCtxGetId(CUcontext context, unsigned long long *id) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && !is_live(context)) result = CUDA_ERROR_CONTEXT_IS_DESTROYED;
  if (result == CUDA_SUCCESS) *id = context->id;
  return fake_cuda_leave(result);
}

CUresult cuCtxGetApiVersion(CUcontext context, unsigned int *version) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && !is_live(context)) result = CUDA_ERROR_INVALID_CONTEXT;
  if (result == CUDA_SUCCESS) *version = 3020;
  return fake_cuda_leave(result);
}

CUresult cuCtxGetDevice(CUdevice *ordinal) {
  const CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS) *ordinal = context_current()->device;
  return fake_cuda_leave(result);
}

CUresult cuCtxSynchronize(void) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS) result = context_synchronise(context_current());
  return fake_cuda_leave(result);
}
