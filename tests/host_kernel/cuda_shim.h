// cuda_shim.h: CUDA's language for a host compiler. Included before a kernel's source, it provides
// the qualifiers, types, built-in variables and warp functions that the kernel uses. A name that is
// missing here does not compile.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef UDM_TESTS_CUDA_SHIM_H
#define UDM_TESTS_CUDA_SHIM_H

#include <cstdint>
#include <cstring>

#include "block_scheduler.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __grid_constant__
// One copy is enough, because one block runs at a time. The scheduler fills the section with random
// bytes before every block; `used` tells the compiler that it may change.
#define __shared__ static __attribute__((section("udm_shared"), used))

struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }

inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32);
}

inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  __extension__ typedef unsigned __int128 product;
  return static_cast<unsigned long long>((static_cast<product>(a) * b) >> 64);
}

template <class T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
  return a < b ? b : a;
}

// The number of the lowest set bit, counted from 1; 0 if none is set.
inline int __ffs(unsigned bits) { return __builtin_ffs(static_cast<int>(bits)); }

template <class T>
T __ldg(const T *from) {
  return *from;
}
inline uint64_t shim_vector_stores;
template <class T>
void __stwb(T *to, T value) {
  shim_vector_stores += sizeof(T) == 16;
  *to = value;
}

// A plain update is atomic: one thread runs at a time.
inline unsigned atomicAdd(unsigned *address, unsigned value) {
  const unsigned old = *address;
  *address = old + value;
  return old;
}
inline unsigned atomicMax(unsigned *address, unsigned value) {
  const unsigned old = *address;
  if (value > old) *address = value;
  return old;
}

template <class T>
T host_warp(enum warp_operation operation, unsigned mask, T value, unsigned operand, int width,
            int line) {
  static_assert(sizeof(T) <= sizeof(uint64_t), "a warp operation carries at most 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = block_scheduler_warp(operation, mask, bits, operand, static_cast<uint32_t>(width), line);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline void __syncthreads(int line = __builtin_LINE()) { block_scheduler_barrier(false, line); }

inline int __syncthreads_or(int predicate, int line = __builtin_LINE()) {
  return block_scheduler_barrier(predicate != 0, line);
}

inline void __syncwarp(unsigned mask = 0xffffffffu, int line = __builtin_LINE()) {
  block_scheduler_warp(WARP_SYNC, mask, 0, 0, 32, line);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
  return static_cast<unsigned>(
      block_scheduler_warp(WARP_BALLOT, mask, predicate != 0, 0, 32, line));
}

inline int __any_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
  return __ballot_sync(mask, predicate, line) != 0;
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, int line = __builtin_LINE()) {
  return host_warp(WARP_SHUFFLE, mask, value, static_cast<unsigned>(source), width, line);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 int line = __builtin_LINE()) {
  return host_warp(WARP_SHUFFLE_UP, mask, value, delta, width, line);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   int line = __builtin_LINE()) {
  return host_warp(WARP_SHUFFLE_DOWN, mask, value, delta, width, line);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32,
                  int line = __builtin_LINE()) {
  return host_warp(WARP_SHUFFLE_XOR, mask, value, static_cast<unsigned>(lane_mask), width, line);
}

#endif
