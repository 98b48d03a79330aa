/*
 * CUDA kernels that were compiled for the host, and their launch: the threads
 * of a block are fibers that run in a seeded random order; barriers and warp
 * operations wait exactly for whom CUDA says; blocks run one after another, in
 * a seeded random order; shared memory holds random bytes when a block starts.
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

/* Made by make_host_kernel() of host_kernel_call.hpp from a kernel's own signature. */
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

/* Stores of 16 bytes by __stwb, of all launches so far. */
uint64_t host_kernel_vector_stores(void);

/*
 * Runs the kernel over the whole grid. parameters[i] points to the value of
 * the i-th parameter, as cuLaunchKernel has it. Any thread; launches take turns.
 *
 * False when the launch is not legal or the kernel does what CUDA leaves
 * undefined: a barrier or a warp operation that some threads never reach. text
 * (HOST_KERNEL_TEXT_SIZE bytes) then says what happened where.
 */
bool host_kernel_launch(const struct host_kernel *kernel, struct host_kernel_dim3 grid,
                        struct host_kernel_dim3 block, void *const *parameters, uint64_t seed,
                        char *text);

#ifdef __cplusplus
}
#endif

#endif
