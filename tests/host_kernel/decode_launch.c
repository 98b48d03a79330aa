/*
 * decode_launch.c: packs the arguments of the decode metadata kernels.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "decode_launch.h"

#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/decode_args.h"
#include "launch/kernel_scalars.h"

enum { THREADS = UDM_KERNEL_THREADS, MOST_COPY_BLOCKS = 24 };

struct host_kernel_dim3 decode_launch_grid(const udm_decode_args *args) {
  const int64_t copies = (int64_t)args->batch_size * args->max_len / 4096 + 1;
  const uint32_t most = MOST_COPY_BLOCKS;
  return (struct host_kernel_dim3){
      udm_length_blocks(args) + (copies < most ? (uint32_t)copies : most), 1, 1};
}

#define COUNT_ONE(type, name) +1
#define COUNT_OUTPUT(name) +1
enum {
  SCALARS = 0 UDM_KERNEL_SCALARS(COUNT_ONE),
  DIRECT_BACKENDS = UDM_KERNEL_DIRECT_BACKENDS,
  DIRECT_OUTPUTS = 0 UDM_KERNEL_DIRECT_OUTPUTS(COUNT_OUTPUT),
  MOST_PARAMETERS = SCALARS + DIRECT_BACKENDS * DIRECT_OUTPUTS + 1
};

/* The inputs and scalars, which all kernels take first. */
static size_t pack_scalars(const udm_decode_args *args, bool direct, struct host_kernel_dim3 *grid,
                           uint64_t seed, struct udm_kernel_scalars *scalars, void **parameters) {
  const uint32_t copies = grid->x - udm_length_blocks(args);
  udm_kernel_scalars_fill(args, direct, copies, scalars);
  /* any number of copy blocks, slices and windows is right: the library's, or others */
  scalars->copy_blocks = copies;
  if (args->batch_size > 0) {
    const uint32_t rows = (uint32_t)args->batch_size;
    const uint32_t fewer = (uint32_t)(seed % scalars->slices_per_row);
    scalars->slices_per_row -= fewer;
    if (fewer > 0) scalars->flags |= UDM_KERNEL_DYNAMIC;
    const bool equal_rows =
        args->tokens_per_request > 1 && !args->extend_lens && !(args->flags & UDM_ROW_PER_REQUEST);
    if (equal_rows && seed / 256 % 2) scalars->flags ^= UDM_KERNEL_COPIES_APART;
    const uint32_t windows = scalars->num_windows + (uint32_t)(seed / 8 % 4 ? 0 : seed / 32 % 5);
    if (windows <= rows) {
      if (windows != scalars->num_windows) scalars->flags |= UDM_KERNEL_DYNAMIC;
      scalars->num_windows = windows;
      scalars->num_windows_reciprocal = UINT32_MAX / windows;
      scalars->window_rows = (rows + windows - 1) / windows;
      scalars->window_rows_reciprocal = UINT32_MAX / scalars->window_rows;
    }
    scalars->blocks_per_window = copies > windows ? copies / windows : 1;
    if (copies > windows) scalars->copy_blocks = scalars->blocks_per_window * windows;
  } else {
    scalars->copy_blocks = 0;
    grid->x = udm_length_blocks(args);
  }
#define PACK(type, name) *parameters++ = &scalars->name;
  UDM_KERNEL_SCALARS(PACK)
  return SCALARS;
}

static bool launch(const char *name, void **parameters, struct host_kernel_dim3 grid, uint64_t seed,
                   char *text) {
  const struct host_kernel *kernel = host_kernel_find(name);
  if (!kernel) {
    snprintf(text, HOST_KERNEL_TEXT_SIZE, "no kernel is called %s", name);
    return false;
  }
  return host_kernel_launch(kernel, grid, (struct host_kernel_dim3){THREADS, 1, 1}, parameters,
                            seed, text);
}

static bool launch_direct_kernel(const udm_decode_args *args, struct host_kernel_dim3 grid,
                                 uint64_t seed, char *text) {
#define OUTPUT(name) UDM_KERNEL_##name,
  static const int outputs[] = {UDM_KERNEL_DIRECT_OUTPUTS(OUTPUT)};
  CUdeviceptr pointers[DIRECT_BACKENDS][UDM_KERNEL_ALL_OUTPUTS] = {{0}};
  int32_t num_sms = args->num_sms;
  void *parameters[MOST_PARAMETERS];
  struct udm_kernel_scalars scalars;
  size_t count = pack_scalars(args, true, &grid, seed, &scalars, parameters);
  for (int b = 0; b < args->num_backends; ++b) {
    memcpy(pointers[b], &args->backends[b], sizeof args->backends[b]);
    memcpy(pointers[b] + UDM_KERNEL_OUTPUTS, &args->extra[b], sizeof args->extra[b]);
  }
  for (int o = 0; o < DIRECT_OUTPUTS; ++o) {
    for (int b = 0; b < DIRECT_BACKENDS; ++b) parameters[count++] = &pointers[b][outputs[o]];
  }
  parameters[count++] = &num_sms;
  grid.x = scalars.copy_blocks + udm_blocks_after_copies(args);
  return launch("udm_decode_metadata_direct", parameters, grid, seed, text);
}

/* A null table: the backends of args. */
static bool launch_general(const udm_decode_args *args, CUdeviceptr backend_pointers,
                           int64_t backend_pointers_stride, struct host_kernel_dim3 grid,
                           uint64_t seed, char *text) {
  udm_decode_args copy = *args;
  void *parameters[MOST_PARAMETERS];
  struct udm_kernel_scalars scalars;
  struct udm_kernel_general general;
  size_t count = pack_scalars(args, !backend_pointers, &grid, seed, &scalars, parameters);
  if (backend_pointers) memset(copy.backends, 0xa5, sizeof copy.backends); /* not looked at */
  udm_kernel_general_fill(&copy, &general);
  /* each backend with an offset of its own has length blocks of its own; schedules have a block */
  grid.x = scalars.copy_blocks + udm_blocks_after_copies(args);
  general.phase.backend_pointers = (const long long *)(uintptr_t)backend_pointers;
  general.phase.backend_pointers_stride = backend_pointers_stride;
  parameters[count++] = &general;
  return launch("udm_decode_metadata_general", parameters, grid, seed, text);
}

bool decode_launch_direct(const udm_decode_args *args, struct host_kernel_dim3 grid, uint64_t seed,
                          char *text) {
  /* up to three backends by the general kernel too, as from the shipped PTX */
  if (!udm_has_direct_kernel(args) || seed % 4 == 3) {
    return launch_general(args, 0, 0, grid, seed, text);
  }
  return launch_direct_kernel(args, grid, seed, text);
}

bool decode_launch_table(const udm_decode_args *args, CUdeviceptr backend_pointers,
                         int64_t backend_pointers_stride, struct host_kernel_dim3 grid,
                         uint64_t seed, char *text) {
  return launch_general(args, backend_pointers, backend_pointers_stride, grid, seed, text);
}

static size_t integer_size(udm_int_type type) { return type == UDM_INT64 ? 8 : 4; }

/* Leaves only the input tensors readable under AddressSanitizer. */
static void poison_guard_bands(const struct decode_case *c, struct decode_memory *memory) {
  const udm_decode_args *args = &c->args;
  const size_t rows = (size_t)args->batch_size;
  const size_t slots = (size_t)(c->num_reqs * args->req_to_token_stride);
  const size_t pointers = UDM_OUTPUTS_PER_BACKEND * (size_t)c->backend_pointers_stride;
  ASAN_POISON_MEMORY_REGION(memory->inputs, c->input_bytes);
  ASAN_UNPOISON_MEMORY_REGION(memory->inputs + c->seq_lens_offset,
                              rows * integer_size(args->seq_lens_type));
  ASAN_UNPOISON_MEMORY_REGION(memory->inputs + c->req_pool_indices_offset,
                              rows * integer_size(args->req_pool_indices_type));
  ASAN_UNPOISON_MEMORY_REGION(memory->inputs + c->req_to_token_offset, slots * sizeof(int32_t));
  if (c->ragged) {
    ASAN_UNPOISON_MEMORY_REGION(memory->inputs + c->extend_lens_offset,
                                rows * integer_size(args->extend_lens_type));
  }
  ASAN_UNPOISON_MEMORY_REGION(memory->inputs + c->backend_pointers_offset,
                              pointers * sizeof(int64_t));
}

bool decode_memory_allocate(const struct decode_case *c, struct decode_memory *memory) {
  memory->input_bytes = c->input_bytes;
  memory->inputs = aligned_alloc(DECODE_CASE_ALIGNMENT, c->input_bytes);
  memory->outputs = aligned_alloc(DECODE_CASE_ALIGNMENT, c->output_bytes);
  return memory->inputs && memory->outputs;
}

void decode_memory_free(struct decode_memory *memory) {
  if (memory->inputs) ASAN_UNPOISON_MEMORY_REGION(memory->inputs, memory->input_bytes);
  free(memory->inputs);
  free(memory->outputs);
}

bool decode_case_launch(const struct decode_case *c, struct decode_memory *memory,
                        struct host_kernel_dim3 grid, uint64_t seed, char *text) {
  const CUdeviceptr outputs = (CUdeviceptr)(uintptr_t)memory->outputs;
  const CUdeviceptr inputs = (CUdeviceptr)(uintptr_t)memory->inputs;
  udm_decode_args args;
  decode_case_bind(c, outputs, inputs, &args);
  ASAN_UNPOISON_MEMORY_REGION(memory->inputs, c->input_bytes);
  decode_case_place_inputs(c, outputs, memory->inputs);
  memcpy(memory->outputs, c->output_before, c->output_bytes);
  poison_guard_bands(c, memory);
  const bool launched = c->table ? decode_launch_table(&args, inputs + c->backend_pointers_offset,
                                                       c->backend_pointers_stride, grid, seed, text)
                                 : decode_launch_direct(&args, grid, seed, text);
  return launched && decode_case_matches(c, memory->outputs, text, HOST_KERNEL_TEXT_SIZE);
}
