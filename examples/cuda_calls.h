/*
 * The few driver calls of the examples, in place of cuda.h and -lcuda, so that
 * they build on a machine that has neither: the addresses come from the driver
 * library that udm itself uses. A host that includes cuda.h leaves this out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CUDA_CALLS_H
#define CUDA_CALLS_H

#include <stdio.h>
#include <stdlib.h>

#include "udm.h"

typedef int CUresult;
typedef int CUdevice;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef struct CUgraphNode_st *CUgraphNode;

/* cuda.h's CUDA_KERNEL_NODE_PARAMS of the calls without _v2 */
typedef struct CUDA_KERNEL_NODE_PARAMS {
  void *func;
  unsigned int gridDimX, gridDimY, gridDimZ;
  unsigned int blockDimX, blockDimY, blockDimZ;
  unsigned int sharedMemBytes;
  void **kernelParams;
  void **extra;
} CUDA_KERNEL_NODE_PARAMS;

enum { CUDA_SUCCESS = 0, CU_STREAM_NON_BLOCKING = 1, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1 };

/* Name as with cuda.h, name as exported, parameters. */
#define CUDA_CALLS(X)                                                                  \
  X(cuInit, "cuInit", (unsigned int flags))                                            \
  X(cuDeviceGetCount, "cuDeviceGetCount", (int *count))                                \
  X(cuCtxCreate, "cuCtxCreate_v2", (CUcontext *, unsigned int flags, CUdevice))        \
  X(cuCtxDestroy, "cuCtxDestroy_v2", (CUcontext))                                      \
  X(cuStreamCreate, "cuStreamCreate", (CUstream *, unsigned int flags))                \
  X(cuStreamDestroy, "cuStreamDestroy_v2", (CUstream))                                 \
  X(cuStreamSynchronize, "cuStreamSynchronize", (CUstream))                            \
  X(cuStreamBeginCapture, "cuStreamBeginCapture_v2", (CUstream, int mode))             \
  X(cuStreamEndCapture, "cuStreamEndCapture", (CUstream, CUgraph *))                   \
  X(cuGraphInstantiate, "cuGraphInstantiateWithFlags",                                 \
    (CUgraphExec *, CUgraph, unsigned long long flags))                                \
  X(cuGraphLaunch, "cuGraphLaunch", (CUgraphExec, CUstream))                           \
  X(cuGraphCreate, "cuGraphCreate", (CUgraph *, unsigned int flags))                   \
  X(cuGraphAddKernelNode, "cuGraphAddKernelNode",                                      \
    (CUgraphNode *, CUgraph, const CUgraphNode *dependencies, size_t count,            \
     const CUDA_KERNEL_NODE_PARAMS *))                                                 \
  X(cuGraphExecDestroy, "cuGraphExecDestroy", (CUgraphExec))                           \
  X(cuGraphDestroy, "cuGraphDestroy", (CUgraph))                                       \
  X(cuMemAlloc, "cuMemAlloc_v2", (CUdeviceptr *, size_t bytes))                        \
  X(cuMemFree, "cuMemFree_v2", (CUdeviceptr))                                          \
  X(cuMemcpyHtoD, "cuMemcpyHtoD_v2", (CUdeviceptr to, const void *from, size_t bytes)) \
  X(cuMemcpyDtoH, "cuMemcpyDtoH_v2", (void *to, CUdeviceptr from, size_t bytes))

#define CUDA_CALL_POINTER(name, exported, parameters) static CUresult(*name) parameters;
CUDA_CALLS(CUDA_CALL_POINTER)

/* UDM_OK, or what udm says of the driver or of the call that it lacks. */
static udm_status load_cuda_calls(void) {
  udm_status status = UDM_OK;
#define CUDA_CALL_FIND(name, exported, parameters) \
  if (status == UDM_OK) status = udm_driver_symbol(NULL, exported, (void **)&(name));
  CUDA_CALLS(CUDA_CALL_FIND)
  return status;
}

/* A driver call, or a udm call, that must succeed: names it and ends the program. */
#define CUDA_CHECK(call) check_cuda((call), #call)
#define UDM_CHECK(call) check_udm((call), #call)

static void check_cuda(CUresult result, const char *call) {
  if (result == CUDA_SUCCESS) return;
  fprintf(stderr, "%s: CUDA error %d\n", call, (int)result);
  exit(1);
}

static void check_udm(udm_status status, const char *call) {
  if (status == UDM_OK) return;
  fprintf(stderr, "%s: %s: %s\n", call, udm_status_name(status), udm_last_error());
  exit(1);
}

#endif
