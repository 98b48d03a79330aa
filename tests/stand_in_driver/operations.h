/*
 * What a stream executes and a graph records: a kernel with the values of its
 * parameters, a copy, a fill, the recording of an event.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_OPERATIONS_H
#define UDM_TESTS_OPERATIONS_H

#include "driver_functions.h"
#include "host_kernel.h"

typedef enum operation_kind {
  OPERATION_KERNEL,
  OPERATION_COPY,
  OPERATION_FILL,
  OPERATION_EVENT
} operation_kind;

typedef struct operation {
  operation_kind kind;
  struct operation *next;
  CUfunction function;
  host_kernel_dim3 grid, block;
  void *to;
  const void *from;
  bool to_device, from_device;
  size_t bytes;
  uint32_t word; /* the fill's */
  CUevent event;
  size_t data_bytes;
  _Alignas(16) unsigned char data[]; /* the kernel's parameters, or a snapshot of what is copied */
} operation;

/* A zeroed operation with room for data; NULL when out of memory. */
operation *operation_create(operation_kind kind, size_t data_bytes);
operation *operation_clone(const operation *from);

/* CUDA_SUCCESS, or what fails the whole context. */
CUresult operation_execute(const operation *op);

/* An operation list, in order. */
typedef struct operation_list {
  operation *first;
  operation *last;
} operation_list;

void operation_append(operation_list *list, operation *op);
operation *operation_take(operation_list *list);
void operation_free_all(operation_list *list);

#endif /* UDM_TESTS_OPERATIONS_H */
