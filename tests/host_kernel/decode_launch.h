/*
 * Launches the decode metadata kernel on the host: arguments packed in the
 * order of the kernel's signature, independently of runtime/launch.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_DECODE_LAUNCH_H
#define UDM_TESTS_DECODE_LAUNCH_H

#include "decode_case.h"
#include "host_kernel.h"

/* How many blocks, the last ones, write lengths and prefix sums. */
uint32_t decode_launch_length_blocks(const udm_decode_args *args);

/* A grid as for a small GPU. */
struct host_kernel_dim3 decode_launch_grid(const udm_decode_args *args);

/* Any grid of more than the length blocks must do. */
bool decode_launch_direct(const udm_decode_args *args, struct host_kernel_dim3 grid, uint64_t seed,
                          char *text);
bool decode_launch_table(const udm_decode_args *args, CUdeviceptr backend_pointers,
                         int64_t backend_pointers_stride, struct host_kernel_dim3 grid,
                         uint64_t seed, char *text);

/*
 * The two arenas of a decode case in host memory. Under AddressSanitizer all
 * of the inputs' arena that is not a tensor is poisoned.
 */
struct decode_memory {
  unsigned char *outputs;
  unsigned char *inputs;
  size_t input_bytes;
};

bool decode_memory_allocate(const struct decode_case *c, struct decode_memory *memory);
void decode_memory_free(struct decode_memory *memory);

/* Launches the case in that memory and compares; text says what went wrong. */
bool decode_case_launch(const struct decode_case *c, struct decode_memory *memory,
                        struct host_kernel_dim3 grid, uint64_t seed, char *text);

#endif
