/*
 * shim_kernels.h: the kernels that test the shim, by name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_SHIM_KERNELS_H
#define UDM_TESTS_SHIM_KERNELS_H

#include "host_kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

const struct host_kernel *shim_kernel(const char *name);

#ifdef __cplusplus
}
#endif

#endif
