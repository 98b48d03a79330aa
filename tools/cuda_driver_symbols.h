/*
 * cuda_driver_symbols.h: the driver entry points that the tools and the tests call, as one list:
 *
 *     UDM_TOOL_DRIVER_SYMBOL(exported name, (parameters))
 *
 * Define that macro and include this file; it may be included any number of
 * times, and undefines the macro. Every function returns a CUresult. The names
 * are the exported ones, never the macros by which cuda.h renames them.
 *
 * The types below are declared as cuda.h declares them, except that a CUresult
 * is an int. When cuda.h was included before, its own are used, so a test can
 * redeclare the whole list against it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_CUDA_DRIVER_TYPES
#define UDM_TOOLS_CUDA_DRIVER_TYPES

#include <stddef.h>

#include "udm.h"

#ifndef __cuda_cuda_h__

typedef int CUresult;
typedef int CUdevice;
typedef struct CUevent_st *CUevent;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef struct CUgraphNode_st *CUgraphNode;
typedef struct CUfunc_st *CUfunction;
typedef struct CUmod_st *CUmodule;
typedef unsigned int CUdevice_attribute; /* an enum in cuda.h */
typedef unsigned int CUjit_option;       /* an enum in cuda.h */

typedef struct CUDA_KERNEL_NODE_PARAMS_st {
  CUfunction func;
  unsigned int gridDimX, gridDimY, gridDimZ;
  unsigned int blockDimX, blockDimY, blockDimZ;
  unsigned int sharedMemBytes;
  void **kernelParams;
  void **extra;
} CUDA_KERNEL_NODE_PARAMS_v1;

typedef enum CUstreamCaptureMode_enum {
  CU_STREAM_CAPTURE_MODE_GLOBAL = 0,
  CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1,
  CU_STREAM_CAPTURE_MODE_RELAXED = 2
} CUstreamCaptureMode;

enum { CUDA_SUCCESS = 0, CUDA_ERROR_OUT_OF_MEMORY = 2 };
enum { CU_STREAM_DEFAULT = 0, CU_STREAM_NON_BLOCKING = 1 };
enum { CU_EVENT_DEFAULT = 0 };
enum { CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE = 38 };

#endif /* __cuda_cuda_h__ */
#endif /* UDM_TOOLS_CUDA_DRIVER_TYPES */

#ifdef UDM_TOOL_DRIVER_SYMBOL

UDM_TOOL_DRIVER_SYMBOL(cuInit, (unsigned int flags))
UDM_TOOL_DRIVER_SYMBOL(cuGetErrorName, (CUresult error, const char **name))
UDM_TOOL_DRIVER_SYMBOL(cuGetErrorString, (CUresult error, const char **text))

UDM_TOOL_DRIVER_SYMBOL(cuDeviceGet, (CUdevice * device, int ordinal))
UDM_TOOL_DRIVER_SYMBOL(cuDeviceGetAttribute,
                       (int *value, CUdevice_attribute attribute, CUdevice device))
UDM_TOOL_DRIVER_SYMBOL(cuDevicePrimaryCtxRetain, (CUcontext * context, CUdevice device))
UDM_TOOL_DRIVER_SYMBOL(cuDevicePrimaryCtxRelease_v2, (CUdevice device))

UDM_TOOL_DRIVER_SYMBOL(cuCtxCreate_v2, (CUcontext * context, unsigned int flags, CUdevice device))
UDM_TOOL_DRIVER_SYMBOL(cuCtxDestroy_v2, (CUcontext context))
UDM_TOOL_DRIVER_SYMBOL(cuCtxGetCurrent, (CUcontext * context))
UDM_TOOL_DRIVER_SYMBOL(cuCtxSetCurrent, (CUcontext context))
UDM_TOOL_DRIVER_SYMBOL(cuCtxSynchronize, (void))

UDM_TOOL_DRIVER_SYMBOL(cuMemAlloc_v2, (CUdeviceptr * pointer, size_t bytes))
UDM_TOOL_DRIVER_SYMBOL(cuMemFree_v2, (CUdeviceptr pointer))
UDM_TOOL_DRIVER_SYMBOL(cuMemAllocHost_v2, (void **pointer, size_t bytes))
UDM_TOOL_DRIVER_SYMBOL(cuMemFreeHost, (void *pointer))
UDM_TOOL_DRIVER_SYMBOL(cuMemcpyHtoD_v2, (CUdeviceptr to, const void *from, size_t bytes))
UDM_TOOL_DRIVER_SYMBOL(cuMemcpyDtoH_v2, (void *to, CUdeviceptr from, size_t bytes))
UDM_TOOL_DRIVER_SYMBOL(cuMemcpyHtoDAsync_v2,
                       (CUdeviceptr to, const void *from, size_t bytes, CUstream stream))
UDM_TOOL_DRIVER_SYMBOL(cuMemcpyDtoHAsync_v2,
                       (void *to, CUdeviceptr from, size_t bytes, CUstream stream))
UDM_TOOL_DRIVER_SYMBOL(cuMemsetD32Async,
                       (CUdeviceptr to, unsigned int value, size_t count, CUstream stream))

UDM_TOOL_DRIVER_SYMBOL(cuModuleLoadDataEx,
                       (CUmodule * module, const void *image, unsigned int option_count,
                        CUjit_option *options, void **option_values))
UDM_TOOL_DRIVER_SYMBOL(cuModuleUnload, (CUmodule module))
UDM_TOOL_DRIVER_SYMBOL(cuModuleGetFunction,
                       (CUfunction * function, CUmodule module, const char *name))
UDM_TOOL_DRIVER_SYMBOL(cuLaunchKernel,
                       (CUfunction function, unsigned int grid_x, unsigned int grid_y,
                        unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                        unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                        void **kernel_parameters, void **extra))

UDM_TOOL_DRIVER_SYMBOL(cuStreamCreate, (CUstream * stream, unsigned int flags))
UDM_TOOL_DRIVER_SYMBOL(cuStreamDestroy_v2, (CUstream stream))
UDM_TOOL_DRIVER_SYMBOL(cuStreamSynchronize, (CUstream stream))
UDM_TOOL_DRIVER_SYMBOL(cuStreamBeginCapture_v2, (CUstream stream, CUstreamCaptureMode mode))
UDM_TOOL_DRIVER_SYMBOL(cuStreamEndCapture, (CUstream stream, CUgraph *graph))

UDM_TOOL_DRIVER_SYMBOL(cuEventCreate, (CUevent * event, unsigned int flags))
UDM_TOOL_DRIVER_SYMBOL(cuEventDestroy_v2, (CUevent event))
UDM_TOOL_DRIVER_SYMBOL(cuEventRecord, (CUevent event, CUstream stream))
UDM_TOOL_DRIVER_SYMBOL(cuEventSynchronize, (CUevent event))
UDM_TOOL_DRIVER_SYMBOL(cuEventElapsedTime, (float *milliseconds, CUevent start, CUevent end))

UDM_TOOL_DRIVER_SYMBOL(cuGraphCreate, (CUgraph * graph, unsigned int flags))
UDM_TOOL_DRIVER_SYMBOL(cuGraphAddKernelNode,
                       (CUgraphNode * node, CUgraph graph, const CUgraphNode *dependencies,
                        size_t dependency_count, const CUDA_KERNEL_NODE_PARAMS_v1 *parameters))
UDM_TOOL_DRIVER_SYMBOL(cuGraphExecKernelNodeSetParams,
                       (CUgraphExec exec, CUgraphNode node,
                        const CUDA_KERNEL_NODE_PARAMS_v1 *parameters))
UDM_TOOL_DRIVER_SYMBOL(cuGraphInstantiateWithFlags,
                       (CUgraphExec * exec, CUgraph graph, unsigned long long flags))
UDM_TOOL_DRIVER_SYMBOL(cuGraphLaunch, (CUgraphExec exec, CUstream stream))
UDM_TOOL_DRIVER_SYMBOL(cuGraphExecDestroy, (CUgraphExec exec))
UDM_TOOL_DRIVER_SYMBOL(cuGraphDestroy, (CUgraph graph))

#undef UDM_TOOL_DRIVER_SYMBOL
#endif
