/*
 * Operations and their execution.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "operations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "events.h"
#include "launch.h"
#include "memory.h"

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

CUresult operation_execute(const struct operation *op) {
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

struct operation *operation_take(struct operation_list *list) {
  struct operation *op = list->first;
  if (!op) return NULL;
  list->first = op->next;
  if (!list->first) list->last = NULL;
  return op;
}

void operation_free_all(struct operation_list *list) {
  for (struct operation *op = operation_take(list); op; op = operation_take(list)) free(op);
}
