/*
 * context.h: what a udm_context holds. Immutable once created.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_LAUNCH_CONTEXT_H
#define UDM_RUNTIME_LAUNCH_CONTEXT_H

#include "image/loader.h"

struct udm_context {
  struct driver driver;
  CUcontext cuda_context;             /* the caller's */
  unsigned long long cuda_context_id; /* 0 where the driver gives none */
  struct loaded_code code;
  /* the kernels; few rows: at most as many as a block has threads; few backends: at most 3 */
  CUfunction direct;             /* few rows, few backends */
  CUfunction direct_large_batch; /* more rows, few backends */
  CUfunction table;              /* few rows, few backends of a table in device memory */
  CUfunction general;            /* whatever else */
  unsigned process_number;       /* of the process that made it: fork_guard.h */
  udm_context_info info;
};

#endif
