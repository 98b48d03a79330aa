/*
 * cuda_driver.h: the types, constants and functions of the CUDA driver that udm
 * uses, for builds without cuda.h. After cuda.h it declares no type and no
 * constant; tests/declarations compares it with cuda.h that way.
 *
 * Functions have their exported names ("cuMemAlloc_v2"), which cuda.h hides
 * behind macros. For each one there are a function type and the CUDA version
 * that introduced this signature, which cuGetProcAddress wants to know:
 *
 *     cuMemAlloc_v2_function *cuMemAlloc_v2;
 *     cuMemAlloc_v2_version == 3020
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_CUDA_CUDA_DRIVER_H
#define UDM_CUDA_CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "udm.h" /* CUdeviceptr, CUcontext, CUstream */

/* X(name, value) */
#define CUDA_DRIVER_CONSTANTS(X)                      \
  X(CUDA_SUCCESS, 0)                                  \
  X(CUDA_ERROR_INVALID_VALUE, 1)                      \
  X(CUDA_ERROR_OUT_OF_MEMORY, 2)                      \
  X(CUDA_ERROR_NOT_INITIALIZED, 3)                    \
  X(CUDA_ERROR_STUB_LIBRARY, 34)                      \
  X(CUDA_ERROR_NO_DEVICE, 100)                        \
  X(CUDA_ERROR_INVALID_DEVICE, 101)                   \
  X(CUDA_ERROR_INVALID_IMAGE, 200)                    \
  X(CUDA_ERROR_INVALID_CONTEXT, 201)                  \
  X(CUDA_ERROR_NO_BINARY_FOR_GPU, 209)                \
  X(CUDA_ERROR_INVALID_PTX, 218)                      \
  X(CUDA_ERROR_JIT_COMPILER_NOT_FOUND, 221)           \
  X(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, 222)          \
  X(CUDA_ERROR_JIT_COMPILATION_DISABLED, 223)         \
  X(CUDA_ERROR_INVALID_SOURCE, 300)                   \
  X(CUDA_ERROR_INVALID_HANDLE, 400)                   \
  X(CUDA_ERROR_ILLEGAL_STATE, 401)                    \
  X(CUDA_ERROR_NOT_FOUND, 500)                        \
  X(CUDA_ERROR_NOT_READY, 600)                        \
  X(CUDA_ERROR_ILLEGAL_ADDRESS, 700)                  \
  X(CUDA_ERROR_CONTEXT_IS_DESTROYED, 709)             \
  X(CUDA_ERROR_LAUNCH_FAILED, 719)                    \
  X(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, 803)           \
  X(CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE, 804)   \
  X(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, 900)       \
  X(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, 901)       \
  X(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, 906)          \
  X(CUDA_ERROR_CAPTURED_EVENT, 907)                   \
  X(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, 908)      \
  X(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1)     \
  X(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 16)     \
  X(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 38)            \
  X(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 75) \
  X(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 76) \
  X(CU_EVENT_DEFAULT, 0)                              \
  X(CU_GET_PROC_ADDRESS_DEFAULT, 0)                   \
  X(CU_GET_PROC_ADDRESS_SUCCESS, 0)                   \
  X(CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND, 1)          \
  X(CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT, 2)    \
  X(CU_JIT_ERROR_LOG_BUFFER, 5)                       \
  X(CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, 6)            \
  X(CU_JIT_INFO_LOG_BUFFER, 3)                        \
  X(CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, 4)             \
  X(CU_JIT_INPUT_PTX, 1)                              \
  X(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, 9)           \
  X(CU_STREAM_DEFAULT, 0)                             \
  X(CU_STREAM_CAPTURE_MODE_GLOBAL, 0)                 \
  X(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, 1)           \
  X(CU_STREAM_CAPTURE_MODE_RELAXED, 2)                \
  X(CU_STREAM_NON_BLOCKING, 1)

#ifndef __cuda_cuda_h__

typedef int CUdevice;
typedef struct CUevent_st *CUevent;
typedef struct CUfunc_st *CUfunction;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef struct CUgraphNode_st *CUgraphNode;
typedef struct CUkern_st *CUkernel;
typedef struct CUlib_st *CUlibrary;
typedef struct CUlinkState_st *CUlinkState;
typedef struct CUmod_st *CUmodule;
typedef uint64_t cuuint64_t;

/* Enums in cuda.h. */
typedef unsigned int CUresult;
typedef unsigned int CUdevice_attribute;
typedef unsigned int CUdriverProcAddressQueryResult;
typedef unsigned int CUjit_option;
typedef unsigned int CUjitInputType;
typedef unsigned int CUlibraryOption;
typedef unsigned int CUpointer_attribute;
typedef unsigned int CUstreamCaptureMode;

typedef struct CUDA_KERNEL_NODE_PARAMS_st {
  CUfunction func;
  unsigned int gridDimX, gridDimY, gridDimZ;
  unsigned int blockDimX, blockDimY, blockDimZ;
  unsigned int sharedMemBytes;
  void **kernelParams;
  void **extra;
} CUDA_KERNEL_NODE_PARAMS_v1;

#define CUDA_CONSTANT(name, value) name = value,
enum { CUDA_DRIVER_CONSTANTS(CUDA_CONSTANT) };
#undef CUDA_CONSTANT

#endif

/* X(exported name, CUDA version, parameters); every result is a CUresult. */
#define CUDA_DRIVER_FUNCTIONS(X)                                                                   \
  X(cuGetProcAddress_v2, 12000,                                                                    \
    (const char *name, void **address, int version, cuuint64_t flags,                              \
     CUdriverProcAddressQueryResult *result))                                                      \
  X(cuGetProcAddress, 11030, (const char *name, void **address, int version, cuuint64_t flags))    \
  X(cuInit, 2000, (unsigned int flags))                                                            \
  X(cuDriverGetVersion, 2020, (int *version))                                                      \
  X(cuGetErrorName, 6000, (CUresult error, const char **name))                                     \
  X(cuGetErrorString, 6000, (CUresult error, const char **text))                                   \
  X(cuDeviceGetCount, 2000, (int *count))                                                          \
  X(cuDeviceGet, 2000, (CUdevice * device, int ordinal))                                           \
  X(cuDeviceGetName, 2000, (char *name, int size, CUdevice device))                                \
  X(cuDeviceTotalMem_v2, 3020, (size_t * bytes, CUdevice device))                                  \
  X(cuDeviceGetAttribute, 2000, (int *value, CUdevice_attribute attribute, CUdevice device))       \
  X(cuDevicePrimaryCtxRetain, 7000, (CUcontext * context, CUdevice device))                        \
  X(cuDevicePrimaryCtxRelease_v2, 11000, (CUdevice device))                                        \
  X(cuCtxGetCurrent, 4000, (CUcontext * context))                                                  \
  X(cuCtxGetDevice, 2000, (CUdevice * device))                                                     \
  X(cuCtxGetApiVersion, 3020, (CUcontext context, unsigned int *version))                          \
  X(cuCtxGetId, 12000, (CUcontext context, unsigned long long *id))                                \
  X(cuCtxPushCurrent_v2, 4000, (CUcontext context))                                                \
  X(cuCtxPopCurrent_v2, 4000, (CUcontext * context))                                               \
  X(cuThreadExchangeStreamCaptureMode, 10010, (CUstreamCaptureMode * mode))                        \
  X(cuCtxCreate_v2, 3020, (CUcontext * context, unsigned int flags, CUdevice device))              \
  X(cuCtxDestroy_v2, 4000, (CUcontext context))                                                    \
  X(cuCtxSetCurrent, 4000, (CUcontext context))                                                    \
  X(cuCtxSynchronize, 2000, (void))                                                                \
  X(cuModuleLoadDataEx, 2010,                                                                      \
    (CUmodule * module, const void *image, unsigned int option_count, CUjit_option *options,       \
     void **option_values))                                                                        \
  X(cuModuleUnload, 2000, (CUmodule module))                                                       \
  X(cuModuleGetFunction, 2000, (CUfunction * function, CUmodule module, const char *name))         \
  X(cuLibraryLoadData, 12000,                                                                      \
    (CUlibrary * library, const void *image, CUjit_option *options, void **option_values,          \
     unsigned int option_count, CUlibraryOption *library_options, void **library_option_values,    \
     unsigned int library_option_count))                                                           \
  X(cuLibraryUnload, 12000, (CUlibrary library))                                                   \
  X(cuLibraryGetKernel, 12000, (CUkernel * kernel, CUlibrary library, const char *name))           \
  X(cuKernelGetFunction, 12000, (CUfunction * function, CUkernel kernel))                          \
  X(cuFuncLoad, 12040, (CUfunction function))                                                      \
  X(cuLinkCreate_v2, 6050,                                                                         \
    (unsigned int option_count, CUjit_option *options, void **option_values, CUlinkState *state))  \
  X(cuLinkAddData_v2, 6050,                                                                        \
    (CUlinkState state, CUjitInputType type, void *data, size_t size, const char *name,            \
     unsigned int option_count, CUjit_option *options, void **option_values))                      \
  X(cuLinkComplete, 5050, (CUlinkState state, void **cubin, size_t *size))                         \
  X(cuLinkDestroy, 5050, (CUlinkState state))                                                      \
  X(cuLaunchKernel, 4000,                                                                          \
    (CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,           \
     unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes,  \
     CUstream stream, void **kernel_parameters, void **extra))                                     \
  X(cuMemAlloc_v2, 3020, (CUdeviceptr * pointer, size_t bytes))                                    \
  X(cuMemFree_v2, 3020, (CUdeviceptr pointer))                                                     \
  X(cuMemAllocHost_v2, 3020, (void **pointer, size_t bytes))                                       \
  X(cuMemFreeHost, 2000, (void *pointer))                                                          \
  X(cuMemcpyHtoD_v2, 3020, (CUdeviceptr to, const void *from, size_t bytes))                       \
  X(cuMemcpyDtoH_v2, 3020, (void *to, CUdeviceptr from, size_t bytes))                             \
  X(cuMemcpyHtoDAsync_v2, 3020, (CUdeviceptr to, const void *from, size_t bytes, CUstream stream)) \
  X(cuMemcpyDtoHAsync_v2, 3020, (void *to, CUdeviceptr from, size_t bytes, CUstream stream))       \
  X(cuMemsetD32Async, 3020, (CUdeviceptr to, unsigned int value, size_t count, CUstream stream))   \
  X(cuPointerGetAttribute, 4000,                                                                   \
    (void *value, CUpointer_attribute attribute, CUdeviceptr pointer))                             \
  X(cuStreamCreate, 2000, (CUstream * stream, unsigned int flags))                                 \
  X(cuStreamDestroy_v2, 4000, (CUstream stream))                                                   \
  X(cuStreamSynchronize, 2000, (CUstream stream))                                                  \
  X(cuStreamBeginCapture_v2, 10010, (CUstream stream, CUstreamCaptureMode mode))                   \
  X(cuStreamEndCapture, 10000, (CUstream stream, CUgraph * graph))                                 \
  X(cuEventCreate, 2000, (CUevent * event, unsigned int flags))                                    \
  X(cuEventDestroy_v2, 4000, (CUevent event))                                                      \
  X(cuEventRecord, 2000, (CUevent event, CUstream stream))                                         \
  X(cuEventSynchronize, 2000, (CUevent event))                                                     \
  X(cuEventElapsedTime, 2000, (float *milliseconds, CUevent start, CUevent end))                   \
  X(cuGraphCreate, 10000, (CUgraph * graph, unsigned int flags))                                   \
  X(cuGraphAddKernelNode, 10000,                                                                   \
    (CUgraphNode * node, CUgraph graph, const CUgraphNode *dependencies, size_t dependency_count,  \
     const CUDA_KERNEL_NODE_PARAMS_v1 *parameters))                                                \
  X(cuGraphExecKernelNodeSetParams, 10010,                                                         \
    (CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1 *parameters))            \
  X(cuGraphInstantiateWithFlags, 11040,                                                            \
    (CUgraphExec * exec, CUgraph graph, unsigned long long flags))                                 \
  X(cuGraphLaunch, 10000, (CUgraphExec exec, CUstream stream))                                     \
  X(cuGraphExecDestroy, 10000, (CUgraphExec exec))                                                 \
  X(cuGraphDestroy, 10000, (CUgraph graph))

#define CUDA_FUNCTION(name, version, parameters) \
  typedef CUresult name##_function parameters;   \
  enum { name##_version = (version) };
CUDA_DRIVER_FUNCTIONS(CUDA_FUNCTION)
#undef CUDA_FUNCTION

#endif
