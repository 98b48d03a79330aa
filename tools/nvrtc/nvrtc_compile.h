/*
 * nvrtc_compile.h: compiles a source with the NVRTC that udm itself would use. udm.h compiles only
 * udm's kernel, so the bench opens NVRTC for the kernels of its lower bounds, and nvrtc_try for an
 * empty kernel.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_NVRTC_NVRTC_COMPILE_H
#define UDM_TOOLS_NVRTC_NVRTC_COMPILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "udm.h"

/*
 * Compiles source for a device of an architecture such as 90 into *cubin, which the caller frees.
 * On failure returns false, sets *cubin to NULL and says why in reason.
 */
bool nvrtc_compile(const udm_options *options, const char *source, int32_t device_arch,
                   unsigned char **cubin, char *reason, size_t reason_size);

#endif
