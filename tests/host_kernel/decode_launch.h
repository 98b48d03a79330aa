/*
 * decode_launch.h: launches the decode metadata kernel on the CPU. It packs the
 * arguments by the kernel's signature, independently of runtime/launch/launch.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_DECODE_LAUNCH_H
#define UDM_TESTS_DECODE_LAUNCH_H

#include "decode_case.h"
#include "host_kernel.h"
#include "launch/kernel_scalars.h"

/* A grid for a small GPU. */
struct host_kernel_dim3 decode_launch_grid(const udm_decode_args *args);

/* Any grid with at least one more block than the length blocks must work. */
bool decode_launch_direct(const udm_decode_args *args, struct host_kernel_dim3 grid, uint64_t seed,
                          char *text);
bool decode_launch_table(const udm_decode_args *args, CUdeviceptr backend_pointers,
                         int64_t backend_pointers_stride, struct host_kernel_dim3 grid,
                         uint64_t seed, char *text);

/*
 * The two arenas of a decode case in host memory. AddressSanitizer rejects reads
 * of the input arena outside the tensors.
 */
struct decode_memory {
  unsigned char *outputs;
  unsigned char *inputs;
  size_t input_bytes;
};

bool decode_memory_allocate(const struct decode_case *c, struct decode_memory *memory);
void decode_memory_free(struct decode_memory *memory);

/* Launches the case in this memory and compares; text says what went wrong. */
bool decode_case_launch(const struct decode_case *c, struct decode_memory *memory,
                        struct host_kernel_dim3 grid, uint64_t seed, char *text);

#endif
