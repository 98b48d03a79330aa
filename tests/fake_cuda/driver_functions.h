/*
 * driver_functions.h: the functions that the fake driver exports, declared from the lists of
 * the library and of the tools, and the driver's types. With
 * FAKE_CUDA_REAL_CUDA_H the real cuda.h declares them instead: that build
 * proves the definitions right.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_DRIVER_FUNCTIONS_H
#define UDM_TESTS_DRIVER_FUNCTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef FAKE_CUDA_REAL_CUDA_H

#define __CUDA_API_VERSION_INTERNAL /* the exported names, not the macros that hide them */
#include <cuda.h>

#include "udm.h"

#else

#include "cuda_driver_symbols.h"

typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUlib_st *CUlibrary;
typedef struct CUkern_st *CUkernel;
typedef struct CUlinkState_st *CUlinkState;
typedef uint64_t cuuint64_t;
typedef unsigned int CUdevice_attribute;
typedef unsigned int CUjit_option;
typedef unsigned int CUjitInputType;
typedef unsigned int CUlibraryOption;
typedef unsigned int CUdriverProcAddressQueryResult;

enum {
  CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 1,
  CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
  CU_JIT_ERROR_LOG_BUFFER = 5,
  CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6,
  CU_JIT_INPUT_PTX = 1,
  CU_GET_PROC_ADDRESS_SUCCESS = 0,
  CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND = 1,
  CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT = 2
};

enum {
#define FAKE_CUDA_ERROR(name, value, text) name = value,
#define FAKE_CUDA_ERRORS_DECLARED_ELSEWHERE
#include "driver_errors.h"
};

#pragma GCC visibility push(default)
#define UDM_DRIVER_SYMBOL(requirement, name, version, parameters) CUresult name parameters;
#include "driver/driver_symbols.h"
#define UDM_TOOL_DRIVER_SYMBOL(name, parameters) CUresult name parameters;
#include "cuda_driver_symbols.h"
#pragma GCC visibility pop

#endif

#endif
