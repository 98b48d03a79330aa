/*
 * nvrtc_functions.h: the types, constants and functions of NVRTC that udm uses,
 * for builds without nvrtc.h. After nvrtc.h it declares no type and no constant;
 * tests/declarations compares it with nvrtc.h that way. For each function there
 * is a function type:
 *
 *     nvrtcVersion_function *nvrtcVersion;
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_CUDA_NVRTC_FUNCTIONS_H
#define UDM_CUDA_NVRTC_FUNCTIONS_H

#include <stddef.h>

/* X(name, value) */
#define CUDA_NVRTC_CONSTANTS(X)     \
  X(NVRTC_SUCCESS, 0)               \
  X(NVRTC_ERROR_OUT_OF_MEMORY, 1)   \
  X(NVRTC_ERROR_INVALID_INPUT, 3)   \
  X(NVRTC_ERROR_INVALID_PROGRAM, 4) \
  X(NVRTC_ERROR_INVALID_OPTION, 5)  \
  X(NVRTC_ERROR_COMPILATION, 6)     \
  X(NVRTC_ERROR_CANCELLED, 16)

#ifndef __NVRTC_H__

typedef struct _nvrtcProgram *nvrtcProgram;
typedef unsigned int nvrtcResult; /* an enum in nvrtc.h */

#define CUDA_CONSTANT(name, value) name = value,
enum { CUDA_NVRTC_CONSTANTS(CUDA_CONSTANT) };
#undef CUDA_CONSTANT

#endif

/* X(result, name, parameters) */
#define CUDA_NVRTC_FUNCTIONS(X)                                                      \
  X(nvrtcResult, nvrtcVersion, (int *major, int *minor))                             \
  X(const char *, nvrtcGetErrorString, (nvrtcResult result))                         \
  X(nvrtcResult, nvrtcGetNumSupportedArchs, (int *count))                            \
  X(nvrtcResult, nvrtcGetSupportedArchs, (int *archs))                               \
  X(nvrtcResult, nvrtcCreateProgram,                                                 \
    (nvrtcProgram * program, const char *source, const char *name, int header_count, \
     const char *const *headers, const char *const *include_names))                  \
  X(nvrtcResult, nvrtcDestroyProgram, (nvrtcProgram * program))                      \
  X(nvrtcResult, nvrtcCompileProgram,                                                \
    (nvrtcProgram program, int option_count, const char *const *options))            \
  /* 12.9 has it, 11.8 not */                                                        \
  X(nvrtcResult, nvrtcSetFlowCallback,                                               \
    (nvrtcProgram program, int (*callback)(void *, void *), void *payload))          \
  X(nvrtcResult, nvrtcGetCUBINSize, (nvrtcProgram program, size_t * size))           \
  X(nvrtcResult, nvrtcGetCUBIN, (nvrtcProgram program, char *cubin))                 \
  X(nvrtcResult, nvrtcGetPTXSize, (nvrtcProgram program, size_t * size))             \
  X(nvrtcResult, nvrtcGetPTX, (nvrtcProgram program, char *ptx))                     \
  X(nvrtcResult, nvrtcGetProgramLogSize, (nvrtcProgram program, size_t * size))      \
  X(nvrtcResult, nvrtcGetProgramLog, (nvrtcProgram program, char *log))

#define CUDA_FUNCTION(result, name, parameters) typedef result name##_function parameters;
CUDA_NVRTC_FUNCTIONS(CUDA_FUNCTION)
#undef CUDA_FUNCTION

#endif
