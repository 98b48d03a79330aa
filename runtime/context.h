/*
 * context.h: what a udm_context holds. Immutable once created.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CONTEXT_H
#define UDM_RUNTIME_CONTEXT_H

#include "driver.h"

struct udm_context {
  struct driver driver;
  CUcontext cuda_context; /* the caller's */
  CUmodule module;
  CUfunction direct;
  CUfunction table;
  unsigned process_number; /* of the process that made it: fork_guard.h */
  udm_context_info info;
};

#endif
