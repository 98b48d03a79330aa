/*
 * driver_types.h: the driver's types as cuda.h declares them, for a library
 * that builds without it. tests/declarations compiles driver_symbols.h against
 * the real cuda.h instead of this file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_DRIVER_DRIVER_TYPES_H
#define UDM_RUNTIME_DRIVER_DRIVER_TYPES_H

#include "udm.h" /* CUdeviceptr, CUcontext, CUstream */

typedef int CUdevice;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUlib_st *CUlibrary;
typedef struct CUkern_st *CUkernel;
typedef struct CUlinkState_st *CUlinkState;
typedef uint64_t cuuint64_t;

/* Enums in cuda.h; only their size and the values used here matter. */
typedef unsigned int CUresult;
typedef unsigned int CUdevice_attribute;
typedef unsigned int CUjit_option;
typedef unsigned int CUjitInputType;
typedef unsigned int CUlibraryOption;
typedef unsigned int CUstreamCaptureMode;
typedef unsigned int CUdriverProcAddressQueryResult;

enum {
#define UDM_DRIVER_CONSTANT(name, value) name = value,
#include "driver_symbols.h"
};

#endif
