/*
 * Launches the decode metadata kernel on the host.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "decode_launch.h"

#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 256, MOST_LENGTH_BLOCKS = 32, MOST_COPY_BLOCKS = 24 };

uint32_t decode_launch_length_blocks(const udm_decode_args *args) {
  const uint32_t chunks = ((uint32_t)args->batch_size + THREADS - 1) / THREADS;
  if (chunks <= MOST_LENGTH_BLOCKS) return chunks > 0 ? chunks : 1;
  const uint32_t chunks_of_block = (chunks - 1) / MOST_LENGTH_BLOCKS + 1;
  return (chunks - 1) / chunks_of_block + 1;
}

struct host_kernel_dim3 decode_launch_grid(const udm_decode_args *args) {
  const int64_t copies = (int64_t)args->batch_size * args->max_len / 4096 + 1;
  const uint32_t most = MOST_COPY_BLOCKS;
  return (struct host_kernel_dim3){
      decode_launch_length_blocks(args) + (copies < most ? (uint32_t)copies : most), 1, 1};
}

/* How the tables lie: bits 4 and 5, and from bit 8 up. */
static uint32_t layout_flags(const udm_decode_args *args) {
  CUdeviceptr first = 0;
  uint32_t flags = 16 | 32;
  for (int32_t b = args->num_backends - 1; b >= 0; --b) {
    if (args->backends[b].page_table_1) first = args->backends[b].page_table_1;
  }
  for (int32_t b = 0; b < args->num_backends; ++b) {
    const CUdeviceptr table = args->backends[b].page_table_1;
    if (table && table % 16 != first % 16) flags = 16;
  }
  return first && args->page_table_stride > 0 ? flags | (uint32_t)(first / 4 % 32) << 8 : 0;
}

/* The flags of the kernel: bits 0 to 3, and those of the layout. */
static uint32_t launch_flags(const udm_decode_args *args) {
  return (args->seq_lens_type == UDM_INT64 ? 1u : 0u) |
         (args->req_pool_indices_type == UDM_INT64 ? 2u : 0u) |
         (args->extent == UDM_EXTENT_BATCH_MAX ? 4u : 0u) |
         (args->real_page_size > 1 && args->real_page_table_stride > 0 ? 8u : 0u);
}

enum { COMMON_PARAMETERS = 16, FEW = 3, MOST_PARAMETERS = 37, WARPS = THREADS / 32 };

struct derived_scalars {
  uint32_t batch_reciprocal;
  uint32_t static_slices;
  uint32_t flags;
  uint32_t page_table_blocks;
  uint32_t page_reciprocal;
};

/* The inputs and scalars, which all kernels take first. */
static size_t pack_common(udm_decode_args *args, uint32_t flags, struct host_kernel_dim3 grid,
                          uint64_t seed, struct derived_scalars *derived, void **parameters) {
  void *const common[COMMON_PARAMETERS] = {&args->seq_lens,
                                           &args->req_pool_indices,
                                           &args->req_to_token,
                                           &args->batch_size,
                                           &derived->batch_reciprocal,
                                           &derived->static_slices,
                                           &derived->flags,
                                           &args->max_len,
                                           &derived->page_table_blocks,
                                           &args->req_to_token_stride,
                                           &args->page_table_stride,
                                           &args->real_page_table_stride,
                                           &args->real_page_size,
                                           &derived->page_reciprocal,
                                           &args->nsa_index_topk,
                                           &args->num_backends};
  const uint32_t rows = (uint32_t)args->batch_size;
  *derived = (struct derived_scalars){0, 1, flags, 0, UINT32_MAX / (uint32_t)args->real_page_size};
  if (rows > 0) {
    derived->batch_reciprocal = UINT32_MAX / rows;
    derived->page_table_blocks = grid.x - decode_launch_length_blocks(args);
    /* any number is right: the library's, or fewer */
    const uint32_t most = derived->page_table_blocks * WARPS / rows;
    if (most > 1) derived->static_slices = most - (uint32_t)(seed % most);
  }
  memcpy(parameters, common, sizeof common);
  return COMMON_PARAMETERS;
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

/* The order of the outputs among the parameters of the direct kernels. */
static const udm_output outputs_in_order[UDM_OUTPUTS_PER_BACKEND] = {
    UDM_OUTPUT_PAGE_TABLE_1,    UDM_OUTPUT_REAL_PAGE_TABLE,   UDM_OUTPUT_CACHE_SEQLENS,
    UDM_OUTPUT_CU_SEQLENS_K,    UDM_OUTPUT_NSA_CACHE_SEQLENS, UDM_OUTPUT_NSA_CU_SEQLENS_K,
    UDM_OUTPUT_SEQLENS_EXPANDED};

static bool launch_few(const udm_decode_args *args, struct host_kernel_dim3 grid, uint64_t seed,
                       char *text) {
  udm_decode_args copy = *args;
  CUdeviceptr pointers[FEW * UDM_OUTPUTS_PER_BACKEND] = {0};
  void *parameters[MOST_PARAMETERS];
  struct derived_scalars derived;
  const uint32_t flags = launch_flags(args) | layout_flags(args);
  size_t count = pack_common(&copy, flags, grid, seed, &derived, parameters);
  memcpy(pointers, copy.backends, (size_t)copy.num_backends * sizeof copy.backends[0]);
  for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
    for (int b = 0; b < FEW; ++b) {
      parameters[count++] = &pointers[b * UDM_OUTPUTS_PER_BACKEND + (int)outputs_in_order[o]];
    }
  }
  const char *const kernel = args->batch_size <= THREADS ? "udm_decode_metadata_direct"
                                                         : "udm_decode_metadata_direct_large_batch";
  return launch(kernel, parameters, grid, seed, text);
}

/* A null table: the backends of args. */
static bool launch_table(const udm_decode_args *args, CUdeviceptr backend_pointers,
                         int64_t backend_pointers_stride, struct host_kernel_dim3 grid,
                         uint64_t seed, char *text) {
  udm_decode_args copy = *args;
  void *parameters[MOST_PARAMETERS];
  struct derived_scalars derived;
  const uint32_t flags = launch_flags(args) | (backend_pointers ? 0 : layout_flags(args));
  size_t count = pack_common(&copy, flags, grid, seed, &derived, parameters);
  if (backend_pointers) memset(copy.backends, 0xa5, sizeof copy.backends); /* not looked at */
  parameters[count++] = &backend_pointers;
  parameters[count++] = &backend_pointers_stride;
  parameters[count++] = copy.backends;
  const bool few = backend_pointers && args->num_backends <= FEW && args->batch_size <= THREADS;
  return launch(few ? "udm_decode_metadata_table" : "udm_decode_metadata_general", parameters, grid,
                seed, text);
}

bool decode_launch_direct(const udm_decode_args *args, struct host_kernel_dim3 grid, uint64_t seed,
                          char *text) {
  if (args->num_backends > FEW) return launch_table(args, 0, 0, grid, seed, text);
  return launch_few(args, grid, seed, text);
}

bool decode_launch_table(const udm_decode_args *args, CUdeviceptr backend_pointers,
                         int64_t backend_pointers_stride, struct host_kernel_dim3 grid,
                         uint64_t seed, char *text) {
  return launch_table(args, backend_pointers, backend_pointers_stride, grid, seed, text);
}

static size_t integer_size(udm_int_type type) { return type == UDM_INT64 ? 8 : 4; }

/* To AddressSanitizer, only the input tensors remain. */
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
