// The shipped kernel, compiled for the host, and its two entries by name.
//
// SPDX-License-Identifier: Apache-2.0
#include "cuda_shim.h"
// after the shim
#include "decode_metadata.cu"
#include "host_kernel_entry.hpp"

const host_kernel *host_kernel_find(const char *name) {
  static const host_kernel kernels[] = {
      make_host_kernel("udm_decode_metadata_direct", udm_decode_metadata_direct),
      make_host_kernel("udm_decode_metadata_table", udm_decode_metadata_table),
  };
  for (const host_kernel &kernel : kernels) {
    if (std::strcmp(kernel.name, name) == 0) return &kernel;
  }
  return nullptr;
}
