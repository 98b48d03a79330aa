/*
 * driver_fixture.c: see driver_fixture.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "fake_cubin.h"

int use_first_device(void **state) {
  CUcontext context = NULL;
  *state = NULL;
  if (cuInit(0) != CUDA_SUCCESS || cuCtxCreate_v2(&context, 0, 0) != CUDA_SUCCESS) return -1;
  *state = context;
  return 0;
}

int destroy_context(void **state) {
  unsetenv("UDM_FAKE_CUDA_FAIL");
  return cuCtxDestroy_v2(*state) == CUDA_SUCCESS ? 0 : -1;
}

const char general_kernel[] = "udm_decode_metadata_general";

CUresult load_tiny_cubin(CUmodule *module, int abi_version, int arch) {
  const char *const kernels[TINY_CUBIN_KERNELS] = {general_kernel};
  const struct tiny_cubin cubin = tiny_cubin_make(abi_version, arch, kernels, "a test");
  return cuModuleLoadDataEx(module, &cubin, 0, NULL, NULL);
}

CUresult load_library(CUlibrary *library, int abi_version, int arch) {
  const char *const kernels[TINY_CUBIN_KERNELS] = {general_kernel};
  const struct tiny_cubin cubin = tiny_cubin_make(abi_version, arch, kernels, "a test");
  return cuLibraryLoadData(library, &cubin, NULL, NULL, 0, NULL, NULL, 0);
}

enum { SUMS_OFFSET = 7 * 8 };

void make_empty_batch(struct empty_batch *b) {
  memset(b, 0, sizeof *b);
  assert_int_equal(cuMemAlloc_v2(&b->memory, SUMS_OFFSET + 8), CUDA_SUCCESS);
  int64_t pointers[7] = {0};
  pointers[1] = (int64_t)b->memory + SUMS_OFFSET;
  pointers[4] = (int64_t)b->memory + SUMS_OFFSET + 4;
  assert_int_equal(cuMemcpyHtoD_v2(b->memory, pointers, sizeof pointers), CUDA_SUCCESS);
  b->general.phase.backend_pointers = (const long long *)(uintptr_t)b->memory;
  b->general.phase.backend_pointers_stride = 1;
  b->general.phase.tokens_per_request = 1;
  b->scalars.length_blocks = 2;
  b->scalars.chunks_per_block = 1;
  b->general.phase.length_groups = 1;
  b->scalars.page_size = 1;
  b->scalars.num_backends = 1;
  void **parameter = b->parameters;
#define PACK(type, name) *parameter++ = &b->scalars.name;
  UDM_KERNEL_SCALARS(PACK)
  *parameter++ = &b->general;
}

uint64_t read_sums(const struct empty_batch *b) {
  uint64_t sums = 0;
  assert_int_equal(cuMemcpyDtoH_v2(&sums, b->memory + SUMS_OFFSET, sizeof sums), CUDA_SUCCESS);
  return sums;
}

void dirty_sums(const struct empty_batch *b) {
  const uint64_t ones = UINT64_MAX;
  assert_int_equal(cuMemcpyHtoD_v2(b->memory + SUMS_OFFSET, &ones, sizeof ones), CUDA_SUCCESS);
}

CUfunction load_function(void) {
  CUmodule module = NULL;
  CUfunction function = NULL;
  assert_int_equal(load_tiny_cubin(&module, 8, 90), CUDA_SUCCESS);
  assert_int_equal(cuModuleGetFunction(&function, module, general_kernel), CUDA_SUCCESS);
  return function;
}

CUresult launch_empty_batch(CUfunction function, CUstream stream, struct empty_batch *b) {
  return cuLaunchKernel(function, b->scalars.length_blocks, 1, 1, 256, 1, 1, 0, stream,
                        b->parameters, NULL);
}
