/*
 * cuda_driver.h: the CUDA driver as the tools and the tests see it: a structure of function
 * pointers, resolved through udm_driver_symbol(), so that they speak to the
 * very library that udm itself uses and link no libcuda.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_CUDA_DRIVER_H
#define UDM_TOOLS_CUDA_DRIVER_H

#include "cuda/cuda_driver.h"
#include "udm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The functions that the tools and the tests call. */
#define CUDA_DRIVER_SYMBOLS(X)      \
  X(cuInit)                         \
  X(cuGetErrorName)                 \
  X(cuGetErrorString)               \
  X(cuDeviceGet)                    \
  X(cuDeviceGetAttribute)           \
  X(cuDevicePrimaryCtxRetain)       \
  X(cuDevicePrimaryCtxRelease_v2)   \
  X(cuCtxCreate_v2)                 \
  X(cuCtxDestroy_v2)                \
  X(cuCtxGetCurrent)                \
  X(cuCtxSetCurrent)                \
  X(cuCtxSynchronize)               \
  X(cuMemAlloc_v2)                  \
  X(cuMemFree_v2)                   \
  X(cuMemAllocHost_v2)              \
  X(cuMemFreeHost)                  \
  X(cuMemcpyHtoD_v2)                \
  X(cuMemcpyDtoH_v2)                \
  X(cuMemcpyHtoDAsync_v2)           \
  X(cuMemcpyDtoHAsync_v2)           \
  X(cuMemsetD32Async)               \
  X(cuModuleLoadDataEx)             \
  X(cuModuleUnload)                 \
  X(cuModuleGetFunction)            \
  X(cuLaunchKernel)                 \
  X(cuStreamCreate)                 \
  X(cuStreamDestroy_v2)             \
  X(cuStreamSynchronize)            \
  X(cuStreamBeginCapture_v2)        \
  X(cuStreamEndCapture)             \
  X(cuEventCreate)                  \
  X(cuEventDestroy_v2)              \
  X(cuEventRecord)                  \
  X(cuEventSynchronize)             \
  X(cuEventElapsedTime)             \
  X(cuGraphCreate)                  \
  X(cuGraphAddKernelNode)           \
  X(cuGraphExecKernelNodeSetParams) \
  X(cuGraphInstantiateWithFlags)    \
  X(cuGraphLaunch)                  \
  X(cuGraphExecDestroy)             \
  X(cuGraphDestroy)

struct cuda_driver {
#define CUDA_DRIVER_POINTER(name) name##_function *name;
  CUDA_DRIVER_SYMBOLS(CUDA_DRIVER_POINTER)
#undef CUDA_DRIVER_POINTER
};

/*
 * Resolves every function and calls cuInit. On failure *driver is zeroed and
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
