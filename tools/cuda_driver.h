/*
 * cuda_driver.h: the CUDA driver as the tools and the tests see it: a structure of function
 * pointers, resolved through udm_driver_symbol(), so that they speak to the
 * very library that udm itself uses and link no libcuda.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_CUDA_DRIVER_H
#define UDM_TOOLS_CUDA_DRIVER_H

#include "cuda_driver_symbols.h"
#include "udm.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cuda_driver {
#define UDM_TOOL_DRIVER_SYMBOL(name, parameters) CUresult(*name) parameters;
#include "cuda_driver_symbols.h"
};

/*
 * Resolves every entry point and calls cuInit. On failure *driver is zeroed and
 * udm_last_error() has the reason, except for UDM_ERROR_DRIVER: then cuInit
 * itself failed.
 */
udm_status cuda_driver_open(const udm_options *options, struct cuda_driver *driver);

/* "CUDA_ERROR_OUT_OF_MEMORY (2: out of memory)"; the calling thread's own storage. */
const char *cuda_driver_error(const struct cuda_driver *driver, CUresult result);

#ifdef __cplusplus
}
#endif

#endif
