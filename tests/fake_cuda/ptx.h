/*
 * PTX as the fake driver reads it: its version, its target, the names of
 * its kernels. What it is assembled to is a cubin of those kernels.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_PTX_H
#define UDM_TESTS_PTX_H

#include "driver_functions.h"
#include "tiny_cubin.h"

/* Where a caller wants the errors of the assembler; NULL: nowhere. */
struct jit_log {
  char *text;
  size_t size;
};

struct jit_log jit_log_of(unsigned int option_count, const CUjit_option *options,
                          void *const *values);

bool ptx_is_ptx(const char *text);

/*
 * For the current context's device. CUDA_ERROR_UNSUPPORTED_PTX_VERSION when it
 * is of a newer CUDA than the driver; CUDA_ERROR_INVALID_PTX when its target is
 * above the device, or it is no PTX.
 */
CUresult ptx_assemble(const char *ptx, struct tiny_cubin *cubin, const struct jit_log *log);

#endif
