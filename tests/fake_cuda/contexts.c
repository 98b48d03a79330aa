/*
 * Contexts: a stack of current ones per thread, primary ones per device.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "contexts.h"

#include <stdio.h>
#include <stdlib.h>

#include "calls.h"
#include "devices.h"

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

/* Ends the process for a context that is no more: a real driver takes it and crashes later. */
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
