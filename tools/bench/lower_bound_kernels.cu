// lower_bound_kernels.cu: the kernels that udm bench runs beside udm's kernel: an empty kernel with
// the same arguments, a copy with one read and several writes, and a sweep of the L2 cache.
//
// SPDX-License-Identifier: Apache-2.0
//
// udm bench compiles them with NVRTC when it runs.

#define UDM_UNUSED(type, name) type,
#define UDM_UNUSED_POINTERS(name) int *, int *, int *,
extern "C" __global__ void udm_bench_empty(
    UDM_KERNEL_SCALARS(UDM_UNUSED) UDM_KERNEL_DIRECT_OUTPUTS(UDM_UNUSED_POINTERS) unsigned) {}
extern "C" __global__ void udm_bench_empty_general(UDM_KERNEL_SCALARS(UDM_UNUSED)
                                                       const udm_kernel_general) {}

enum { IN_FLIGHT = 4 };

struct copy_targets {
  int4 *tables[8];
};

// A block copies one tile at a time and issues all loads of a tile before the first store.
extern "C" __global__ void __launch_bounds__(512)
    udm_bench_copy(const int4 *from, const copy_targets to, int targets, long long count) {
  const long long tile = IN_FLIGHT * static_cast<long long>(blockDim.x);
  for (long long begin = blockIdx.x * tile; begin < count; begin += gridDim.x * tile) {
    int4 values[IN_FLIGHT];
#pragma unroll
    for (int v = 0; v < IN_FLIGHT; ++v) {
      const long long i = begin + v * static_cast<long long>(blockDim.x) + threadIdx.x;
      if (i < count) values[v] = __ldg(from + i);
    }
#pragma unroll
    for (int v = 0; v < IN_FLIGHT; ++v) {
      const long long i = begin + v * static_cast<long long>(blockDim.x) + threadIdx.x;
      if (i >= count) break;
#pragma unroll
      for (int t = 0; t < 8; ++t) {
        if (t < targets) to.tables[t][i] = values[v];
      }
    }
  }
}

// Sweeps by reading: the cache lines stay clean, so the next kernel pays for no write-back.
extern "C" __global__ void __launch_bounds__(512)
    udm_bench_sweep(const int4 *from, long long count, int *sink) {
  int sum = 0;
  const long long step = gridDim.x * static_cast<long long>(blockDim.x);
  for (long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x; i < count;
       i += step) {
    const int4 value = __ldg(from + i);
    sum ^= value.x ^ value.y ^ value.z ^ value.w;
  }
  if (sum == 0x5eed5eed) *sink = sum;  // keeps the compiler from removing the reads
}
