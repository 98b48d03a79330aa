/*
 * host_kernel.h: launches CUDA kernels that were compiled for the CPU. The threads
 * of a block are fibers that run in a seeded random order. Barriers and warp
 * operations wait for exactly the threads that CUDA names. Blocks run one after
 * another in a seeded random order, each with random bytes in its shared memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_HOST_KERNEL_H
#define UDM_TESTS_HOST_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HOST_KERNEL_MAX_PARAMETERS 128
#define HOST_KERNEL_MAX_THREADS 1024
#define HOST_KERNEL_TEXT_SIZE 512

struct host_kernel_dim3 {
  uint32_t x, y, z;
};

/* make_host_kernel() of host_kernel_call.hpp makes one from a kernel's own signature. */
struct host_kernel {
  const char *name;
  void (*function)(void);
  size_t parameter_count;
  const size_t *parameter_sizes;
  /* calls function with parameters[i] pointing to the value of the i-th */
  void (*call)(void (*function)(void), void *const *parameters);
};

/* The kernel of nvrtc_src/ with that name, or NULL. */
const struct host_kernel *host_kernel_find(const char *name);

/* The number of 16-byte stores by __stwb in all launches so far. */
uint64_t host_kernel_vector_stores(void);

/*
 * Runs the kernel over the whole grid. parameters[i] points to the value of
 * the i-th parameter, as for cuLaunchKernel. Any thread may call it; launches take turns.
 *
 * Returns false if the launch is illegal, or if some threads never reach a barrier
 * or a warp operation, which CUDA leaves undefined. text (HOST_KERNEL_TEXT_SIZE
 * bytes) then says what happened and where.
 */
bool host_kernel_launch(const struct host_kernel *kernel, struct host_kernel_dim3 grid,
                        struct host_kernel_dim3 block, void *const *parameters, uint64_t seed,
                        char *text);

#ifdef __cplusplus
}
#endif

#endif
