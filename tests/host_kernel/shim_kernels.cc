// shim_kernels.cc: small kernels that use the shim, correctly and incorrectly.
//
// SPDX-License-Identifier: Apache-2.0
#include "cuda_shim.h"
// after the shim
#include "host_kernel_entry.hpp"
#include "shim_kernels.h"

namespace {

__device__ unsigned linear_thread() {
  return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
}

__global__ void shuffles(int *out, int delta, int width) {
  const unsigned t = threadIdx.x;
  const int value = static_cast<int>(1000 + t);
  out[4 * t + 0] = __shfl_sync(0xffffffffu, value, delta, width);
  out[4 * t + 1] = __shfl_up_sync(0xffffffffu, value, static_cast<unsigned>(delta), width);
  out[4 * t + 2] = __shfl_down_sync(0xffffffffu, value, static_cast<unsigned>(delta), width);
  out[4 * t + 3] = __shfl_xor_sync(0xffffffffu, value, delta, width);
}

// Each half of a warp has its own operation; 8-byte values.
__global__ void masked(unsigned *ballots, double *values) {
  const unsigned t = threadIdx.x;
  if (t < 16) {
    ballots[t] = __ballot_sync(0x0000ffffu, t % 3 == 0);
    __syncwarp(0x0000ffffu);
    values[t] = __shfl_down_sync(0x0000ffffu, 0.5 + t, 1u, 16);
  } else {
    ballots[t] = __ballot_sync(0xffff0000u, t % 5 == 0);
    values[t] = __shfl_sync(0xffff0000u, 0.25 + t, 31);
  }
}

// Every thread reads another thread's value from before the barrier.
__global__ void reverse(int *out, const int *in) {
  __shared__ int values[HOST_KERNEL_MAX_THREADS];
  const unsigned count = blockDim.x * blockDim.y * blockDim.z;
  const unsigned t = linear_thread();
  values[t] = in[t];
  __syncthreads();
  out[t] = values[count - 1 - t];
}

__global__ void reverse_without_barrier(int *out, const int *in) {
  __shared__ int values[HOST_KERNEL_MAX_THREADS];
  values[threadIdx.x] = in[threadIdx.x];
  out[threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}

// Only thread `who` passes true, at the second of three barriers.
__global__ void votes(int *out, unsigned who) {
  const unsigned t = threadIdx.x;
  const bool first = __syncthreads_or(0);
  const bool second = __syncthreads_or(t == who ? 4 : 0);
  const bool third = __syncthreads_or(0);
  const bool of_warp = __any_sync(0xffffffffu, t == who ? 4 : 0);
  out[t] = first | second << 1 | third << 2 | of_warp << 3;
}

// Without a barrier, the second write may come before another warp's read.
__global__ void reuse_without_barrier(int *out, const int *in) {
  __shared__ int values[HOST_KERNEL_MAX_THREADS];
  const unsigned t = threadIdx.x;
  values[t] = in[t];
  __syncthreads();
  out[t] = values[blockDim.x - 1 - t];
  const int next = __shfl_xor_sync(0xffffffffu, in[t], 1);
  values[t] = next;
}

__global__ void record_order(unsigned *next, unsigned *threads, unsigned *blocks) {
  const unsigned at = (*next)++;
  threads[at] = threadIdx.x;
  blocks[at] = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
}

__global__ void read_unwritten_shared(unsigned *out) {
  __shared__ unsigned value;
  if (threadIdx.x == 0) out[blockIdx.x] = value;
}

__global__ void early_return(int *out) {
  if (threadIdx.x % 2 == 1) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}

__global__ void barrier_in_one_branch() {
  if (threadIdx.x < 7) {
    __syncthreads();
  } else {
    __ballot_sync(0xffffffffu, 1);
  }
}

__global__ void barriers_of_two_lines() {
  if (threadIdx.x < 7) {  // NOLINT(bugprone-branch-clone): two barriers is the point
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void shuffle_with_ended_lane(int *out) {
  if (threadIdx.x == 3) return;
  out[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
}

__global__ void mask_without_caller() { __syncwarp(~(1u << threadIdx.x % 32)); }

__global__ void width_of_three(int *out) { out[0] = __shfl_sync(0xffffffffu, 1, 0, 3); }

__global__ void write_to(int *out) { out[threadIdx.x] = 1; }

struct Pair {
  short a;
  char b;
};

__global__ void parameters(char *out, char c, short s, long long l, Pair pair, const double d) {
  std::memcpy(out, &c, 1);
  std::memcpy(out + 1, &s, 2);
  std::memcpy(out + 3, &l, 8);
  std::memcpy(out + 11, &pair.a, 2);
  std::memcpy(out + 13, &pair.b, 1);
  std::memcpy(out + 14, &d, 8);
}

#define KERNEL(name) make_host_kernel(#name, name)

}  // namespace

const host_kernel *shim_kernel(const char *name) {
  static const host_kernel kernels[] = {
      KERNEL(shuffles),
      KERNEL(masked),
      KERNEL(reverse),
      KERNEL(votes),
      KERNEL(reverse_without_barrier),
      KERNEL(reuse_without_barrier),
      KERNEL(record_order),
      KERNEL(read_unwritten_shared),
      KERNEL(early_return),
      KERNEL(barrier_in_one_branch),
      KERNEL(barriers_of_two_lines),
      KERNEL(shuffle_with_ended_lane),
      KERNEL(mask_without_caller),
      KERNEL(width_of_three),
      KERNEL(write_to),
      KERNEL(parameters),
  };
  for (const host_kernel &kernel : kernels) {
    if (std::strcmp(kernel.name, name) == 0) return &kernel;
  }
  return nullptr;
}
