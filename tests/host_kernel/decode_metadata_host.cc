// decode_metadata_host.cc: the shipped kernels and the lower-bound kernels of the bench, compiled
// for the CPU and found by name.
//
// SPDX-License-Identifier: Apache-2.0
#include "cuda_shim.h"
// after the shim
#include "kernel_params.h"
// after the shim and the parameters
#include "decode_metadata.cu"
#include "host_kernel_call.hpp"
#include "lower_bound_kernels.cu"

uint64_t host_kernel_vector_stores(void) { return shim_vector_stores; }

const host_kernel *host_kernel_find(const char *name) {
  static const host_kernel kernels[] = {
      make_host_kernel("udm_decode_metadata_direct", udm_decode_metadata_direct),
      make_host_kernel("udm_decode_metadata_general", udm_decode_metadata_general),
      make_host_kernel("udm_bench_empty", udm_bench_empty),
      make_host_kernel("udm_bench_empty_general", udm_bench_empty_general),
      make_host_kernel("udm_bench_copy", udm_bench_copy),
      make_host_kernel("udm_bench_sweep", udm_bench_sweep),
  };
  for (const host_kernel &kernel : kernels) {
    if (std::strcmp(kernel.name, name) == 0) return &kernel;
  }
  return nullptr;
}
