/*
 * context.h: what a udm_context holds. Immutable once created.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CONTEXT_H
#define UDM_RUNTIME_CONTEXT_H

#include "loader.h"

struct udm_context {
  struct driver driver;
  CUcontext cuda_context;             /* the caller's */
  unsigned long long cuda_context_id; /* 0 where the driver gives none */
  struct loaded_code code;
  CUfunction direct;       /* up to 3 backends */
  CUfunction table;        /* up to 8, and those of a table in device memory */
  unsigned process_number; /* of the process that made it: fork_guard.h */
  udm_context_info info;
};

#endif
