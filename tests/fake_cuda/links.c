/*
 * Links: PTX goes in, a cubin comes out, which is the link's own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "contexts.h"
#include "handles.h"
#include "ptx.h"

struct CUlinkState_st {
  struct handle handle;
  struct jit_log log;
  bool has_cubin;
  struct tiny_cubin cubin;
};

static void destroy_link(struct handle *object) { free(object); }

static CUresult check_link(CUlinkState link) {
  return handle_is_live(link, HANDLE_LINK) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuLinkCreate_v2(unsigned int option_count, CUjit_option *options, void **option_values,
                         CUlinkState *link) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS && option_count > 0 && (!options || !option_values)) {
    result = CUDA_ERROR_INVALID_VALUE;
  }
  if (result == CUDA_SUCCESS) {
    CUlinkState created = calloc(1, sizeof *created);
    if (created) {
      handle_register(&created->handle, HANDLE_LINK, context_current(), destroy_link);
      created->log = jit_log_of(option_count, options, option_values);
      *link = created;
    } else {
      result = CUDA_ERROR_OUT_OF_MEMORY;
    }
  }
  return fake_cuda_leave(result);
}

CUresult cuLinkAddData_v2(CUlinkState link, CUjitInputType type, void *data, size_t size,
                          const char *name, unsigned int option_count, CUjit_option *options,
                          void **option_values) {
  (void)name;
  (void)options;
  (void)option_values;
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS) result = check_link(link);
  const char *text = data;
  if (result == CUDA_SUCCESS && ((int)type != CU_JIT_INPUT_PTX || option_count != 0 || !text ||
                                 size == 0 || text[size - 1] != '\0')) {
    result = CUDA_ERROR_INVALID_VALUE;
  }
  if (result == CUDA_SUCCESS) result = ptx_assemble(text, &link->cubin, &link->log);
  if (result == CUDA_SUCCESS) link->has_cubin = true;
  return fake_cuda_leave(result);
}

CUresult cuLinkComplete(CUlinkState link, void **cubin, size_t *size) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS) result = check_link(link);
  if (result == CUDA_SUCCESS && !link->has_cubin) result = CUDA_ERROR_INVALID_VALUE;
  if (result == CUDA_SUCCESS) {
    *cubin = &link->cubin;
    *size = sizeof link->cubin;
  }
  return fake_cuda_leave(result);
}

CUresult cuLinkDestroy(CUlinkState link) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS) result = check_link(link);
  if (result == CUDA_SUCCESS) handle_destroy(&link->handle);
  return fake_cuda_leave(result);
}
