/*
 * nvrtc_compile.h: compiles a source with the NVRTC library that udm itself would use. The
 * library's interface compiles its own kernel alone, so the bench opens NVRTC
 * for its floor kernels.
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
 * Makes a cubin for a device of that architecture (90), in *cubin (free() it).
 * False when it cannot; reason says why.
 */
bool nvrtc_compile(const udm_options *options, const char *source, int32_t device_arch,
                   unsigned char **cubin, char *reason, size_t reason_size);

#endif
