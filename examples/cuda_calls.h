/*
 * cuda_calls.h: the driver functions that the examples call, without cuda.h and
 * -lcuda, so that they build on a machine that has neither. The addresses come
 * from the driver library that udm opens. A program with cuda.h needs none of this.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CUDA_CALLS_H
#define CUDA_CALLS_H

#include <stdio.h>
#include <stdlib.h>

#include "../cuda/cuda_driver.h"
#include "udm.h"

typedef CUDA_KERNEL_NODE_PARAMS_v1 CUDA_KERNEL_NODE_PARAMS; /* of the functions without _v2 */

/* X(name as in cuda.h, name as exported) */
#define CUDA_CALLS(X)                                \
  X(cuInit, cuInit)                                  \
  X(cuDeviceGetCount, cuDeviceGetCount)              \
  X(cuCtxCreate, cuCtxCreate_v2)                     \
  X(cuCtxDestroy, cuCtxDestroy_v2)                   \
  X(cuStreamCreate, cuStreamCreate)                  \
  X(cuStreamDestroy, cuStreamDestroy_v2)             \
  X(cuStreamSynchronize, cuStreamSynchronize)        \
  X(cuStreamBeginCapture, cuStreamBeginCapture_v2)   \
  X(cuStreamEndCapture, cuStreamEndCapture)          \
  X(cuGraphInstantiate, cuGraphInstantiateWithFlags) \
  X(cuGraphLaunch, cuGraphLaunch)                    \
  X(cuGraphCreate, cuGraphCreate)                    \
  X(cuGraphAddKernelNode, cuGraphAddKernelNode)      \
  X(cuGraphExecDestroy, cuGraphExecDestroy)          \
  X(cuGraphDestroy, cuGraphDestroy)                  \
  X(cuMemAlloc, cuMemAlloc_v2)                       \
  X(cuMemFree, cuMemFree_v2)                         \
  X(cuMemcpyHtoD, cuMemcpyHtoD_v2)                   \
  X(cuMemcpyDtoH, cuMemcpyDtoH_v2)

#define CUDA_CALL_POINTER(name, exported) static exported##_function *name;
CUDA_CALLS(CUDA_CALL_POINTER)

/* On failure udm_last_error() names the missing driver or function. */
static udm_status load_cuda_calls(void) {
  udm_status status = UDM_OK;
#define CUDA_CALL_FIND(name, exported) \
  if (status == UDM_OK) status = udm_driver_symbol(NULL, #exported, (void **)&(name));
  CUDA_CALLS(CUDA_CALL_FIND)
  return status;
}

/* End the program with a message that names the call, unless it succeeded. */
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
