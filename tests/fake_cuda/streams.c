/*
 * streams.c: streams, the operations that they run, and events. An operation runs at some moment
 * between its call and the next synchronisation, as on a GPU: some seed catches a program that
 * reads results or reuses memory too early.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct CUevent_st {
  struct handle handle;
  CUstream stream; /* NULL unless the event is pending */
  bool recorded;
  bool captured; /* recorded last in a stream that captures */
  struct timespec time;
};

static bool is_live_event(CUevent event) { return handle_is_live(event, HANDLE_EVENT); }

static void event_complete(CUevent event) {
  if (!is_live_event(event)) return;
  event->stream = NULL;
  clock_gettime(CLOCK_MONOTONIC, &event->time);
}

struct operation *operation_create(enum operation_kind kind, size_t data_bytes) {
  struct operation *op = calloc(1, sizeof *op + data_bytes);
  if (!op) return NULL;
  op->kind = kind;
  op->data_bytes = data_bytes;
  return op;
}

struct operation *operation_clone(const struct operation *from) {
  struct operation *op = operation_create(from->kind, from->data_bytes);
  if (!op) return NULL;
  memcpy(op, from, sizeof *op + from->data_bytes);
  op->next = NULL;
  if (from->from == from->data) op->from = op->data;
  return op;
}

/* Device memory may have been freed since the operation was recorded: a GPU would fault. */
static bool copy_is_possible(const struct operation *op) {
  return (!op->to_device || memory_is_device(op->to, op->bytes)) &&
         (!op->from_device || memory_is_device(op->from, op->bytes));
}

static CUresult fill(const struct operation *op) {
  if (!memory_is_device(op->to, op->bytes)) return CUDA_ERROR_ILLEGAL_ADDRESS;
  for (size_t at = 0; at < op->bytes; at += sizeof op->word) {
    memcpy((unsigned char *)op->to + at, &op->word, sizeof op->word);
  }
  return CUDA_SUCCESS;
}

static CUresult operation_execute(const struct operation *op) {
  switch (op->kind) {
    case OPERATION_KERNEL:
      return launch_execute(op);
    case OPERATION_COPY:
      if (!copy_is_possible(op)) return CUDA_ERROR_ILLEGAL_ADDRESS;
      memmove(op->to, op->from, op->bytes);
      return CUDA_SUCCESS;
    case OPERATION_FILL:
      return fill(op);
    case OPERATION_EVENT:
      event_complete(op->event);
      return CUDA_SUCCESS;
  }
  return CUDA_ERROR_INVALID_VALUE;
}

void operation_append(struct operation_list *list, struct operation *op) {
  if (list->last) {
    list->last->next = op;
  } else {
    list->first = op;
  }
  list->last = op;
}

static struct operation *operation_take(struct operation_list *list) {
  struct operation *op = list->first;
  if (!op) return NULL;
  list->first = op->next;
  if (!list->first) list->last = NULL;
  return op;
}

void operation_free_all(struct operation_list *list) {
  for (struct operation *op = operation_take(list); op; op = operation_take(list)) free(op);
}

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
    /* events complete even after a failure, or they would wait for a destroyed stream */
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
  if (result == CUDA_SUCCESS && !is_live_event(event)) result = CUDA_ERROR_INVALID_HANDLE;
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
  if (result == CUDA_SUCCESS && !is_live_event(event)) result = CUDA_ERROR_INVALID_HANDLE;
  if (result == CUDA_SUCCESS) result = stream_find(given, &stream);
  if (result == CUDA_SUCCESS && stream->handle.owner != event->handle.owner) {
    result = CUDA_ERROR_INVALID_HANDLE;
  }
  if (result == CUDA_SUCCESS) result = record(event, stream);
  return fake_cuda_leave(result);
}

CUresult cuEventSynchronize(CUevent event) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS && !is_live_event(event)) result = CUDA_ERROR_INVALID_HANDLE;
  if (result == CUDA_SUCCESS && event->captured) result = CUDA_ERROR_CAPTURED_EVENT;
  if (result == CUDA_SUCCESS && event->stream) {
    stream_flush(event->stream);
    result = event->handle.owner->failure;
  }
  return fake_cuda_leave(result);
}

static CUresult elapsed(float *milliseconds, CUevent start, CUevent end) {
  if (!is_live_event(start) || !is_live_event(end)) return CUDA_ERROR_INVALID_HANDLE;
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
