/*
 * driver_types.h: the driver's types as cuda.h declares them, for a library
 * that builds without it. tests/declarations compiles driver_symbols.h against
 * the real cuda.h instead of this file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_DRIVER_TYPES_H
#define UDM_RUNTIME_DRIVER_TYPES_H

#include "udm.h" /* CUdeviceptr, CUcontext, CUstream */

typedef int CUdevice;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;

/* Enums in cuda.h; only their size and the values used here matter. */
typedef unsigned int CUresult;
typedef unsigned int CUdevice_attribute;
typedef unsigned int CUjit_option;

enum {
#define UDM_DRIVER_CONSTANT(name, value) name = value,
#include "driver_symbols.h"
};

#endif
