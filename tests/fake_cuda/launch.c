/*
 * launch.c: cuLaunchKernel. It checks the limits of a launch and copies the parameters' values by
 * the sizes of the kernel's own signature; the host kernel runs when the stream comes to it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_params.h"

enum { MAX_GRID_YZ = 65535, MAX_BLOCK_Z = 64, MAX_SHARED_BYTES = 48 * 1024 };

static bool is_within_limits(struct host_kernel_dim3 grid, struct host_kernel_dim3 block) {
  const bool grid_fits = grid.x >= 1 && grid.y >= 1 && grid.z >= 1 && grid.x <= INT32_MAX &&
                         grid.y <= MAX_GRID_YZ && grid.z <= MAX_GRID_YZ;
  const bool block_fits = block.x >= 1 && block.y >= 1 && block.z >= 1 &&
                          block.x <= HOST_KERNEL_MAX_THREADS &&
                          block.y <= HOST_KERNEL_MAX_THREADS && block.z <= MAX_BLOCK_Z;
  return grid_fits && block_fits &&
         (uint64_t)block.x * block.y * block.z <= HOST_KERNEL_MAX_THREADS;
}

/* Where parameter p begins among the values of all; p may be their count. */
static size_t value_offset(const struct host_kernel *kernel, size_t p) {
  const size_t alignment = 16;
  size_t offset = 0;
  for (size_t i = 0; i < p; ++i) {
    offset += (kernel->parameter_sizes[i] + alignment - 1) / alignment * alignment;
  }
  return offset;
}

/* NULL if a parameter is NULL or memory is short. */
static struct operation *create_operation(CUfunction function, void *const *parameters) {
  const struct host_kernel *kernel = function->kernel;
  struct operation *op =
      operation_create(OPERATION_KERNEL, value_offset(kernel, kernel->parameter_count));
  if (!op) return NULL;
  op->function = function;
  for (size_t p = 0; p < kernel->parameter_count; ++p) {
    if (!parameters[p]) {
      free(op);
      return NULL;
    }
    memcpy(op->data + value_offset(kernel, p), parameters[p], kernel->parameter_sizes[p]);
  }
  return op;
}

CUresult launch_prepare(const CUDA_KERNEL_NODE_PARAMS_v1 *launch, struct operation **out) {
  const struct host_kernel_dim3 grid = {launch->gridDimX, launch->gridDimY, launch->gridDimZ};
  const struct host_kernel_dim3 block = {launch->blockDimX, launch->blockDimY, launch->blockDimZ};
  if (!handle_is_live(launch->func, HANDLE_FUNCTION)) return CUDA_ERROR_INVALID_HANDLE;
  if (launch->func->handle.owner != context_current()) return CUDA_ERROR_INVALID_HANDLE;
  if (!is_within_limits(grid, block) || launch->sharedMemBytes > MAX_SHARED_BYTES ||
      !launch->kernelParams || launch->extra) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  struct operation *op = create_operation(launch->func, launch->kernelParams);
  if (!op) return CUDA_ERROR_INVALID_VALUE;
  op->grid = grid;
  op->block = block;
  *out = op;
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                        unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                        unsigned int block_z, unsigned int shared_bytes, CUstream given,
                        void **parameters, void **extra) {
  const CUDA_KERNEL_NODE_PARAMS_v1 launch = {function, grid_x,  grid_y,       grid_z,     block_x,
                                             block_y,  block_z, shared_bytes, parameters, extra};
  CUstream stream = NULL;
  struct operation *op = NULL;
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS) result = stream_find(given, &stream);
  if (result == CUDA_SUCCESS) result = launch_prepare(&launch, &op);
  if (result == CUDA_SUCCESS && function->handle.owner != stream->handle.owner) {
    free(op);
    result = CUDA_ERROR_INVALID_HANDLE;
  }
  if (result == CUDA_SUCCESS) result = stream_enqueue(stream, op);
  return fake_cuda_leave(result);
}

/* Where the kernel writes the leading 0 of backend 0's cu_seqlens_k, by its signature. */
static int32_t *first_prefix_sum(const struct host_kernel *kernel, void *const *parameters) {
#define COUNT_ONE(type, name) +1
  const size_t first = 0 UDM_KERNEL_SCALARS(COUNT_ONE);
  int64_t address = 0;
  if (strncmp(kernel->name, "udm_decode_metadata_direct", 26) == 0) {
    memcpy(&address, parameters[first + 9], sizeof address); /* after three outputs of three */
    return (int32_t *)(intptr_t)address;
  }
  const struct udm_kernel_general *general = parameters[first];
  const struct udm_kernel_phase *phase = &general->phase;
  if (!phase->backend_pointers) return general->outputs[0][UDM_KERNEL_CU_SEQLENS_K];
  memcpy(&address, phase->backend_pointers + phase->backend_pointers_stride, sizeof address);
  return (int32_t *)(intptr_t)address;
}

/* UDM_FAKE_CUDA_SPOIL=N: one output element of the Nth launch is wrong. */
static void spoil(const struct host_kernel *kernel, void *const *parameters) {
  static long launches;
  const char *which = getenv("UDM_FAKE_CUDA_SPOIL");
  if (strncmp(kernel->name, "udm_decode_metadata", 19) != 0) return;
  ++launches;
  if (which && strtol(which, NULL, 10) == launches) *first_prefix_sum(kernel, parameters) ^= 1;
}

CUresult launch_execute(const struct operation *op) {
  char text[HOST_KERNEL_TEXT_SIZE];
  void *parameters[HOST_KERNEL_MAX_PARAMETERS];
  if (!handle_is_live(op->function, HANDLE_FUNCTION)) {
    fprintf(stderr, "fake driver: a graph launches a kernel whose module was unloaded\n");
    return CUDA_ERROR_LAUNCH_FAILED;
  }
  const struct host_kernel *kernel = op->function->kernel;
  for (size_t p = 0; p < kernel->parameter_count; ++p) {
    parameters[p] = (void *)(uintptr_t)(op->data + value_offset(kernel, p)); /* only read */
  }
  if (host_kernel_launch(kernel, op->grid, op->block, parameters, fake_cuda_random(), text)) {
    spoil(kernel, parameters);
    return CUDA_SUCCESS;
  }
  fprintf(stderr, "fake driver: %s: %s\n", kernel->name, text);
  return CUDA_ERROR_LAUNCH_FAILED;
}
