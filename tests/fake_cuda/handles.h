/*
 * Everything the driver hands out: each object begins with a handle and is
 * known to one registry, so that a pointer which was never handed out, or was
 * destroyed, is recognised without looking at what it points to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_HANDLES_H
#define UDM_TESTS_HANDLES_H

#include "driver_functions.h"

enum handle_kind {
  HANDLE_CONTEXT,
  HANDLE_MODULE,
  HANDLE_LIBRARY,
  HANDLE_KERNEL,
  HANDLE_LINK,
  HANDLE_FUNCTION,
  HANDLE_STREAM,
  HANDLE_EVENT,
  HANDLE_GRAPH,
  HANDLE_GRAPH_EXEC,
  HANDLE_GRAPH_NODE,
  HANDLE_DEVICE_MEMORY,
  HANDLE_HOST_MEMORY
};

struct handle {
  enum handle_kind kind;
  CUcontext owner; /* NULL: lives until it is destroyed itself */
  void (*destroy)(struct handle *object);
  struct handle *next;
};

/* destroy frees the object, which is no longer registered then. */
void handle_register(struct handle *object, enum handle_kind kind, CUcontext owner,
                     void (*destroy)(struct handle *object));

bool handle_is_live(const void *object, enum handle_kind kind);

void handle_destroy(struct handle *object);
void handle_destroy_all_of(CUcontext owner);

/* How many objects of that kind there are. */
int handle_count(enum handle_kind kind);

/* The first object of that kind after `after`, or from the start when it is NULL. */
struct handle *handle_next(enum handle_kind kind, const struct handle *after);

#endif
