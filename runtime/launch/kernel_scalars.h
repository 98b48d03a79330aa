/*
 * kernel_scalars.h: the kernels' parameters that are computed from udm_decode_args. The tests that
 * run the kernel on the CPU use it too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_LAUNCH_KERNEL_SCALARS_H
#define UDM_RUNTIME_LAUNCH_KERNEL_SCALARS_H

#include <stdbool.h>

#include "kernel_params.h"
#include "udm.h"

/* The number of length blocks (lengths and prefix sums) per group of backends. */
unsigned int udm_length_blocks(const udm_decode_args *args);

/* The number of copy blocks. It depends on the arguments alone: a recorded launch stays right.
 * direct: the pointers are in args, not in device memory. */
unsigned int udm_copy_blocks(unsigned int multiprocessors, const udm_decode_args *args,
                             bool direct);

/* copy_blocks may be rounded down. */
void udm_kernel_scalars_fill(const udm_decode_args *args, bool direct, unsigned int copy_blocks,
                             struct udm_kernel_scalars *out);

/* What the general kernel takes beside the scalars, for a direct call. */
void udm_kernel_general_fill(const udm_decode_args *args, struct udm_kernel_general *out);

/* The number of blocks behind the copy blocks: length blocks, then those of the schedules. */
unsigned int udm_blocks_after_copies(const udm_decode_args *args);

/* Whether the direct kernel serves a direct call: decode mode, with schedules at most. */
bool udm_has_direct_kernel(const udm_decode_args *args);

#endif
