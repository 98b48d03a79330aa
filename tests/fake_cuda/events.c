/*
 * Events and the time between them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "events.h"

#include <stdlib.h>
#include <time.h>

#include "calls.h"
#include "contexts.h"

struct CUevent_st {
  struct handle handle;
  CUstream stream; /* where it is pending; NULL: nowhere */
  bool recorded;
  bool captured; /* recorded last in a stream that captures */
  struct timespec time;
};

static bool is_live(CUevent event) { return handle_is_live(event, HANDLE_EVENT); }

void event_complete(CUevent event) {
  if (!is_live(event)) return;
  event->stream = NULL;
  clock_gettime(CLOCK_MONOTONIC, &event->time);
}

static void destroy_event(struct handle *object) { free(object); }

CUresult cuEventCreate(CUevent *event, unsigned int flags) {
  (void)flags; /* how to wait, and whether to keep the time: it is kept always */
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS) {
    CUevent created = calloc(1, sizeof *created);
    if (created) {
      handle_register(&created->handle, HANDLE_EVENT, context_current(), destroy_event);
      *event = created;
    } else {
      result = CUDA_ERROR_OUT_OF_MEMORY;
    }
  }
  return fake_cuda_leave(result);
}

CUresult cuEventDestroy_v2(CUevent event) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && !is_live(event)) result = CUDA_ERROR_INVALID_HANDLE;
  if (result == CUDA_SUCCESS) handle_destroy(&event->handle);
  return fake_cuda_leave(result);
}

/* In a capture the event only marks a place between nodes, which a list has anyway. */
static CUresult record(CUevent event, CUstream stream) {
  event->recorded = true;
  event->captured = stream->capture != NULL;
  if (event->captured) return CUDA_SUCCESS;
  struct operation *op = operation_create(OPERATION_EVENT, 0);
  if (!op) return CUDA_ERROR_OUT_OF_MEMORY;
  op->event = event;
  event->stream = stream;
  return stream_enqueue(stream, op);
}

CUresult cuEventRecord(CUevent event, CUstream given) {
  CUstream stream = NULL;
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS && !is_live(event)) result = CUDA_ERROR_INVALID_HANDLE;
  if (result == CUDA_SUCCESS) result = stream_find(given, &stream);
  if (result == CUDA_SUCCESS && stream->handle.owner != event->handle.owner) {
    result = CUDA_ERROR_INVALID_HANDLE;
  }
  if (result == CUDA_SUCCESS) result = record(event, stream);
  return fake_cuda_leave(result);
}

CUresult cuEventSynchronize(CUevent event) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS && !is_live(event)) result = CUDA_ERROR_INVALID_HANDLE;
  if (result == CUDA_SUCCESS && event->captured) result = CUDA_ERROR_CAPTURED_EVENT;
  if (result == CUDA_SUCCESS && event->stream) {
    stream_flush(event->stream);
    result = event->handle.owner->failure;
  }
  return fake_cuda_leave(result);
}

static CUresult elapsed(float *milliseconds, CUevent start, CUevent end) {
  if (!is_live(start) || !is_live(end)) return CUDA_ERROR_INVALID_HANDLE;
  if (start->captured || end->captured) return CUDA_ERROR_CAPTURED_EVENT;
  if (!start->recorded || !end->recorded) return CUDA_ERROR_INVALID_HANDLE;
  if (start->stream || end->stream) return CUDA_ERROR_NOT_READY;
  const double seconds = (double)(end->time.tv_sec - start->time.tv_sec) +
                         (double)(end->time.tv_nsec - start->time.tv_nsec) * 1e-9;
  *milliseconds = (float)(seconds * 1e3);
  return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS) result = elapsed(milliseconds, start, end);
  return fake_cuda_leave(result);
}
