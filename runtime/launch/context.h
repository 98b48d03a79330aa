/*
 * context.h: what a udm_context holds. It is immutable once created.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_LAUNCH_CONTEXT_H
#define UDM_RUNTIME_LAUNCH_CONTEXT_H

#include "cache/cache.h"
#include "driver/load.h"
#include "launch/fork_guard.h"

struct udm_context {
  struct driver driver;
  CUcontext cuda_context;             /* the caller owns it */
  unsigned long long cuda_context_id; /* 0 if the driver gives none */
  struct loaded_code code;
  CUfunction direct;       /* up to 3 backends, whose pointers are parameters; may be null */
  CUfunction general;      /* all other launches, and those if direct is null */
  unsigned process_number; /* identifies the process that made it: fork_guard.h */
  udm_context_info info;
  char image_detail[UDM_PATH_SIZE];
  char image_producer[UDM_CACHE_TEXT_SIZE];
};

static inline bool udm_is_from_parent(const udm_context *ctx) {
  return ctx->process_number != udm_process_number;
}

/* Inline: this is all that a launch pays for the check. */
static inline udm_status udm_check_context(const udm_context *ctx, struct error *error) {
  if (!ctx) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "ctx is null");
  return udm_is_from_parent(ctx) ? udm_fail_forked(error) : UDM_OK;
}

#endif
