/*
 * nvrtc_types.h: NVRTC's types as nvrtc.h declares them. tests/declarations
 * compiles nvrtc_symbols.h against the real nvrtc.h instead of this file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_NVRTC_NVRTC_TYPES_H
#define UDM_RUNTIME_NVRTC_NVRTC_TYPES_H

typedef struct _nvrtcProgram *nvrtcProgram;

/* An enum in nvrtc.h; only its size and the values used here matter. */
typedef unsigned int nvrtcResult;

enum {
#define UDM_NVRTC_CONSTANT(name, value) name = value,
#include "nvrtc_symbols.h"
};

#endif
