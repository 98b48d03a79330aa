// What udm bench measures beside udm's kernel: a kernel of the same arguments that
// does nothing, a copy of one read and some writes, and a sweep of the L2 cache.
//
// SPDX-License-Identifier: Apache-2.0
//
// Compiled with NVRTC when the command runs, as udm's own kernel is.

#define UDM_UNUSED(type, name) type,
#define UDM_UNUSED_POINTERS(name) int *, int *, int *
extern "C" __global__ void udm_bench_empty(
    UDM_KERNEL_SCALARS(UDM_UNUSED) UDM_UNUSED_POINTERS(0), UDM_UNUSED_POINTERS(1),
    UDM_UNUSED_POINTERS(2), UDM_UNUSED_POINTERS(3), UDM_UNUSED_POINTERS(4), UDM_UNUSED_POINTERS(5),
    UDM_UNUSED_POINTERS(6)) {}
extern "C" __global__ void udm_bench_empty_general(UDM_KERNEL_SCALARS(UDM_UNUSED) const long long *,
                                                   long long, const udm_kernel_backends) {}

constexpr int kInFlight = 4;

struct Targets {
  int4 *tables[8];
};

// Each block takes tiles in turn, all loads in flight before the first store.
extern "C" __global__ void __launch_bounds__(512)
    udm_bench_copy(const int4 *from, const Targets to, int targets, long long count) {
  const long long tile = kInFlight * static_cast<long long>(blockDim.x);
  for (long long begin = blockIdx.x * tile; begin < count; begin += gridDim.x * tile) {
    int4 values[kInFlight];
#pragma unroll
    for (int v = 0; v < kInFlight; ++v) {
      const long long i = begin + v * static_cast<long long>(blockDim.x) + threadIdx.x;
      if (i < count) values[v] = __ldg(from + i);
    }
#pragma unroll
    for (int v = 0; v < kInFlight; ++v) {
      const long long i = begin + v * static_cast<long long>(blockDim.x) + threadIdx.x;
      if (i >= count) break;
#pragma unroll
      for (int t = 0; t < 8; ++t) {
        if (t < targets) to.tables[t][i] = values[v];
      }
    }
  }
}

// Reads: what it leaves in the cache is clean, and costs the next kernel no write-back.
extern "C" __global__ void __launch_bounds__(512)
    udm_bench_sweep(const int4 *from, long long count, int *sink) {
  int sum = 0;
  const long long step = gridDim.x * static_cast<long long>(blockDim.x);
  for (long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x; i < count;
       i += step) {
    const int4 value = __ldg(from + i);
    sum ^= value.x ^ value.y ^ value.z ^ value.w;
  }
  if (sum == 0x5eed5eed) *sink = sum;  // so that the reads are not left out
}
