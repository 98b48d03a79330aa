/*
 * block_scheduler.h: the threads of one block as fibers: which runs next, and which waits for
 * which. cuda_shim.h builds the CUDA names on these functions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_BLOCK_SCHEDULER_H
#define UDM_TESTS_BLOCK_SCHEDULER_H

#include "host_kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- for the launch ---- */

/* False if the stacks cannot be allocated. */
bool block_scheduler_prepare(char *text);

/*
 * Runs one block of `threads` threads; each calls the kernel. Only one block
 * runs at a time in the process. threadIdx is set here, the other built-in
 * variables by the caller.
 */
bool block_scheduler_run(const struct host_kernel *kernel, void *const *parameters, uint64_t seed,
                         char *text);

/* splitmix64 */
uint64_t block_scheduler_random(uint64_t *state);

/* ---- for the kernel ---- */

/* CUDA's built-in variables, for the running thread. */
extern struct host_kernel_dim3 threadIdx, blockIdx, blockDim, gridDim;

enum warp_operation {
  WARP_SYNC,
  WARP_BALLOT,
  WARP_SHUFFLE, /* operand: source lane */
  WARP_SHUFFLE_UP,
  WARP_SHUFFLE_DOWN,
  WARP_SHUFFLE_XOR
};

/*
 * Waits until every live thread of the block is at a barrier; all must be at this line. Returns
 * whether any thread passed true.
 */
bool block_scheduler_barrier(bool value, int line);

/*
 * Waits until every lane of mask has arrived at this line with this operation and mask. `value`, of
 * up to 8 bytes, is the lane's operand; returns its result.
 */
uint64_t block_scheduler_warp(enum warp_operation operation, uint32_t mask, uint64_t value,
                              uint32_t operand, uint32_t width, int line);

#ifdef __cplusplus
}
#endif

#endif
