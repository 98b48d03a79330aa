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

enum operation_kind { OPERATION_KERNEL, OPERATION_COPY, OPERATION_FILL, OPERATION_EVENT };

struct operation {
  enum operation_kind kind;
  struct operation *next;
  CUfunction function;
  struct host_kernel_dim3 grid, block;
  void *to;
  const void *from;
  bool to_device, from_device;
  size_t bytes;
  uint32_t word; /* the fill's */
  CUevent event;
  size_t data_bytes;
  _Alignas(16) unsigned char data[]; /* the kernel's parameters, or a snapshot of what is copied */
};

/* A zeroed operation with room for data; NULL when out of memory. */
struct operation *operation_create(enum operation_kind kind, size_t data_bytes);
struct operation *operation_clone(const struct operation *from);

/* CUDA_SUCCESS, or what fails the whole context. */
CUresult operation_execute(const struct operation *op);

/* An operation list, in order. */
struct operation_list {
  struct operation *first;
  struct operation *last;
};

void operation_append(struct operation_list *list, struct operation *op);
struct operation *operation_take(struct operation_list *list);
void operation_free_all(struct operation_list *list);

#endif
