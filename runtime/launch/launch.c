/*
 * launch.c: checks the arguments, packs them, launches. It knows nothing of
 * NVRTC or files, and takes no lock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/status.h"
#include "core/struct_size.h"
#include "launch/context.h"
#include "launch/decode_args.h"
#include "launch/kernel_interface.h"

/* The least work that is worth a block: a line of 32 columns per warp. */
enum { COLUMNS_OF_BLOCK = UDM_KERNEL_THREADS_PER_BLOCK };

/* With more rows than this, each multiprocessor gets two copy blocks. */
enum { ROWS_OF_ONE_BLOCK = 128 };

static unsigned int divide_up(unsigned int n, unsigned int divisor) {
  return (n + divisor - 1) / divisor;
}

/* The number of length blocks, the last blocks of the grid, which write lengths and prefix sums. */
static unsigned int length_blocks(const udm_decode_args *args) {
  const unsigned int chunks = divide_up((unsigned)args->batch_size, UDM_KERNEL_THREADS_PER_BLOCK);
  if (chunks == 0) return 1;
  return divide_up(chunks, divide_up(chunks, UDM_KERNEL_MAX_LENGTH_BLOCKS));
}

enum {
  FEW_BACKENDS = 3, /* the kernels whose pointers are parameters take at most this many */
  ELEMENTS_OF_LINE = 32,
  ELEMENTS_OF_VECTOR = 4
};

static bool has_few_backends(const udm_decode_args *args) {
  return args->num_backends <= FEW_BACKENDS;
}

static bool has_few_rows(const udm_decode_args *args) {
  return args->batch_size <= UDM_KERNEL_THREADS_PER_BLOCK;
}

static bool has_real_page_tables(const udm_decode_args *args) {
  return args->real_page_size > 1 && args->real_page_table_stride > 0;
}

/* How the page_table_1 are aligned. For pointers in device memory the kernel finds it out. */
static uint32_t page_table_1_flags(const udm_decode_args *args) {
  CUdeviceptr first = 0;
  uint32_t flags = UDM_KERNEL_VECTORS;
  if (args->page_table_stride <= 0) return 0;
  for (int32_t b = 0; b < args->num_backends; ++b) {
    const CUdeviceptr table = args->backends[b].page_table_1;
    if (!first) first = table;
    if (table && (table - first) / sizeof(int32_t) % ELEMENTS_OF_VECTOR) flags = 0;
  }
  if (!first) return 0;
  const uint32_t anchor = (uint32_t)(first / sizeof(int32_t) % ELEMENTS_OF_LINE);
  return flags | UDM_KERNEL_SLOTS | anchor << UDM_KERNEL_ANCHOR_SHIFT;
}

static uint32_t flags_of(const udm_decode_args *args, bool direct) {
  uint32_t flags = 0;
  if (args->seq_lens_type == UDM_INT64) flags |= UDM_KERNEL_SEQ_LENS_INT64;
  if (args->req_pool_indices_type == UDM_INT64) flags |= UDM_KERNEL_REQ_POOL_INDICES_INT64;
  if (args->extent == UDM_EXTENT_BATCH_MAX) flags |= UDM_KERNEL_EXTENT_BATCH_MAX;
  if (has_real_page_tables(args)) flags |= UDM_KERNEL_PAGES;
  return direct ? flags | page_table_1_flags(args) : flags;
}

/*
 * One copy block per multiprocessor saturates the memory, and every further block repeats the
 * counting. With many rows, two per multiprocessor balance better and hide the row lookups. They
 * leave room for the length blocks, which would otherwise start only after the first copy blocks
 * have finished.
 */
static unsigned int most_page_table_blocks(const udm_context *ctx, const udm_decode_args *args) {
  const unsigned int multiprocessors = (unsigned)ctx->info.multiprocessor_count;
  if (args->batch_size <= ROWS_OF_ONE_BLOCK) return multiprocessors;
  const unsigned int lengths = length_blocks(args);
  return lengths < multiprocessors ? 2 * multiprocessors - lengths : multiprocessors;
}

/*
 * Depends on the arguments alone, never on what the tensors hold, so that a recorded launch stays
 * right.
 */
static uint32_t page_table_blocks(const udm_context *ctx, const udm_decode_args *args) {
  if (!udm_has_page_columns(args)) return 0;
  if (args->page_table_stride <= 0 && !has_real_page_tables(args)) return 0;
  const unsigned int most = most_page_table_blocks(ctx, args);
  const uint64_t columns = (uint64_t)args->batch_size * (unsigned)args->max_len;
  const uint64_t blocks = columns / COLUMNS_OF_BLOCK + 1;
  return blocks < most ? (uint32_t)blocks : most;
}

/* Kernel parameters that are computed from udm_decode_args. */
struct derived {
  uint32_t batch_reciprocal;
  uint32_t static_slices;
  uint32_t flags;
  uint32_t page_table_blocks;
  uint32_t page_reciprocal;
};

/*
 * The number of slices of each row that the static phase copies: one per copying warp if there are
 * enough.
 */
static uint32_t static_slices(uint32_t blocks, uint32_t rows) {
  const uint32_t pieces = blocks * UDM_KERNEL_WARPS_PER_BLOCK / rows;
  return pieces > 0 ? pieces : 1;
}

static struct derived derive(const udm_context *ctx, const udm_decode_args *args, bool direct) {
  const uint32_t rows = args->batch_size > 0 ? (uint32_t)args->batch_size : 1;
  const uint32_t blocks = page_table_blocks(ctx, args);
  return (struct derived){UINT32_MAX / rows, static_slices(blocks, rows), flags_of(args, direct),
                          blocks, UINT32_MAX / (uint32_t)args->real_page_size};
}

static unsigned int grid_of(const udm_decode_args *args, const struct derived *derived) {
  return derived->page_table_blocks + length_blocks(args);
}

enum {
  INPUTS = 3,
  SCALARS = 13,
  TABLE_PARAMETERS = 3,
  FEW_POINTERS = FEW_BACKENDS * UDM_OUTPUTS_PER_BACKEND,
  MOST_PARAMETERS = INPUTS + SCALARS + FEW_POINTERS
};

/* The driver only reads the parameters, though its signature is not const. */
static void *parameter(const void *value) { return (void *)(uintptr_t)value; }

/* The order of UDM_INPUTS and UDM_SCALARS in the kernel's source. */
static void pack_common(const udm_decode_args *args, const struct derived *derived,
                        void **parameters) {
  parameters[0] = parameter(&args->seq_lens);
  parameters[1] = parameter(&args->req_pool_indices);
  parameters[2] = parameter(&args->req_to_token);
  parameters[3] = parameter(&args->batch_size);
  parameters[4] = parameter(&derived->batch_reciprocal);
  parameters[5] = parameter(&derived->static_slices);
  parameters[6] = parameter(&derived->flags);
  parameters[7] = parameter(&args->max_len);
  parameters[8] = parameter(&derived->page_table_blocks);
  parameters[9] = parameter(&args->req_to_token_stride);
  parameters[10] = parameter(&args->page_table_stride);
  parameters[11] = parameter(&args->real_page_table_stride);
  parameters[12] = parameter(&args->real_page_size);
  parameters[13] = parameter(&derived->page_reciprocal);
  parameters[14] = parameter(&args->nsa_index_topk);
  parameters[15] = parameter(&args->num_backends);
}

/* The kernel's order of the outputs: it takes one output of all backends, then the next output. */
static const udm_output outputs_in_order[UDM_OUTPUTS_PER_BACKEND] = {
    UDM_OUTPUT_PAGE_TABLE_1,    UDM_OUTPUT_REAL_PAGE_TABLE,   UDM_OUTPUT_CACHE_SEQLENS,
    UDM_OUTPUT_CU_SEQLENS_K,    UDM_OUTPUT_NSA_CACHE_SEQLENS, UDM_OUTPUT_NSA_CU_SEQLENS_K,
    UDM_OUTPUT_SEQLENS_EXPANDED};

static void pack_few(const udm_decode_args *args, void **pointers) {
  static const CUdeviceptr none = 0;
  for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
    for (int b = 0; b < FEW_BACKENDS; ++b) {
      const CUdeviceptr *first = &args->backends[b].cache_seqlens; /* the first of seven */
      pointers[o * FEW_BACKENDS + b] =
          parameter(b < args->num_backends ? first + outputs_in_order[o] : &none);
    }
  }
}

/* A pointer table in device memory. If it is null, the general kernel uses the pointers of args. */
struct table {
  CUdeviceptr backend_pointers;
  int64_t backend_pointers_stride;
};

/* The kernel for few backends has no third parameter: the driver ignores it. */
static void pack_table(const udm_decode_args *args, const struct table *table, void **parameters) {
  parameters[0] = parameter(&table->backend_pointers);
  parameters[1] = parameter(&table->backend_pointers_stride);
  parameters[2] = parameter(args->backends);
}

static const struct table no_table = {0, 0};

static CUfunction direct_function(const udm_context *ctx, const udm_decode_args *args) {
  if (!has_few_backends(args)) return ctx->general;
  return has_few_rows(args) ? ctx->direct : ctx->direct_large_batch;
}

static CUfunction table_function(const udm_context *ctx, const udm_decode_args *args) {
  return has_few_backends(args) && has_few_rows(args) ? ctx->table : ctx->general;
}

static void pack_direct(const udm_decode_args *args, const struct derived *derived,
                        void **parameters) {
  pack_common(args, derived, parameters);
  if (has_few_backends(args)) {
    pack_few(args, parameters + INPUTS + SCALARS);
  } else {
    pack_table(args, &no_table, parameters + INPUTS + SCALARS);
  }
}

static udm_status launch(const udm_context *ctx, CUfunction function, unsigned int grid,
                         CUstream stream, void **parameters, struct error *error) {
  const CUresult result = ctx->driver.cuLaunchKernel(
      function, grid, 1, 1, UDM_KERNEL_THREADS_PER_BLOCK, 1, 1, 0, stream, parameters, NULL);
  if (result == CUDA_SUCCESS) return UDM_OK;
  return udm_fail_driver(&ctx->driver, UDM_ERROR_DRIVER, "cuLaunchKernel", NULL, result, error);
}

static udm_status check_direct(const udm_context *ctx, const udm_decode_args *args,
                               struct error *error) {
  const udm_status status = udm_check_context(ctx, error);
  return status == UDM_OK ? udm_check_decode_args(args, UDM_MAX_DIRECT_BACKENDS, error) : status;
}

static udm_status check_backend_pointers(CUdeviceptr backend_pointers, int64_t stride,
                                         int32_t num_backends, struct error *error) {
  if (!backend_pointers) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "backend_pointers is null");
  }
  if (backend_pointers % 8) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "backend_pointers is not aligned to its 8-byte elements: 0x%llx",
                    (unsigned long long)backend_pointers);
  }
  if (stride < num_backends) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "backend_pointers_stride is %" PRId64 " elements, less than the %" PRId32
                    " backends of a row",
                    stride, num_backends);
  }
  return UDM_OK;
}

static udm_status check_table(const udm_context *ctx, const udm_decode_args *args,
                              CUdeviceptr backend_pointers, int64_t stride, struct error *error) {
  udm_status status = udm_check_context(ctx, error);
  if (status == UDM_OK) status = udm_check_decode_args_for_table(args, error);
  if (status != UDM_OK) return status;
  return check_backend_pointers(backend_pointers, stride, args->num_backends, error);
}

udm_status udm_decode_metadata_direct(udm_context *ctx, const udm_decode_args *args,
                                      CUstream stream) {
  struct error *const error = udm_thread_error();
  const udm_status status = check_direct(ctx, args, error);
  if (status != UDM_OK) return status;
  void *parameters[MOST_PARAMETERS];
  const struct derived derived = derive(ctx, args, true);
  pack_direct(args, &derived, parameters);
  return launch(ctx, direct_function(ctx, args), grid_of(args, &derived), stream, parameters,
                error);
}

udm_status udm_decode_metadata_table(udm_context *ctx, const udm_decode_args *args,
                                     CUdeviceptr backend_pointers, int64_t backend_pointers_stride,
                                     CUstream stream) {
  struct error *const error = udm_thread_error();
  const udm_status status =
      check_table(ctx, args, backend_pointers, backend_pointers_stride, error);
  if (status != UDM_OK) return status;
  void *parameters[INPUTS + SCALARS + TABLE_PARAMETERS];
  const struct derived derived = derive(ctx, args, false);
  const struct table table = {backend_pointers, backend_pointers_stride};
  pack_common(args, &derived, parameters);
  pack_table(args, &table, parameters + INPUTS + SCALARS);
  return launch(ctx, table_function(ctx, args), grid_of(args, &derived), stream, parameters, error);
}

/* The storage of udm_kernel_launch, to which the parameters of a prepared launch point. */
struct prepared {
  struct table table;
  struct derived derived;
  udm_decode_args args;
  void *parameters[MOST_PARAMETERS]; /* at least those of a pointer-table call */
};

_Static_assert(sizeof(struct prepared) <= sizeof(((udm_kernel_launch *)0)->storage),
               "storage has its size for good: it is a part of the interface");
_Static_assert(offsetof(udm_kernel_launch, storage) % _Alignof(struct prepared) == 0, "alignment");

static udm_status check_kernel_launch(const udm_kernel_launch *kernel_launch, struct error *error) {
  return udm_check_struct("kernel_launch", kernel_launch,
                          UDM_SIZE_UP_TO(udm_kernel_launch, storage), error);
}

/* Fills all but the parameters, and copies what they will point to. */
static struct prepared *fill_kernel_launch(const udm_context *ctx, const udm_decode_args *args,
                                           bool direct, udm_kernel_launch *out) {
  struct prepared *prepared = (struct prepared *)(void *)out->storage;
  const size_t known = args->struct_size < sizeof *args ? args->struct_size : sizeof *args;
  memcpy(&prepared->args, args, known);
  prepared->derived = derive(ctx, args, direct);
  out->function = direct ? direct_function(ctx, args) : table_function(ctx, args);
  out->grid_x = grid_of(args, &prepared->derived);
  out->block_x = UDM_KERNEL_THREADS_PER_BLOCK;
  out->grid_y = out->grid_z = out->block_y = out->block_z = 1;
  out->shared_bytes = 0;
  out->parameters = prepared->parameters;
  return prepared;
}

udm_status udm_prepare_direct(udm_context *ctx, const udm_decode_args *args,
                              udm_kernel_launch *kernel_launch) {
  struct error *const error = udm_thread_error();
  udm_status status = check_kernel_launch(kernel_launch, error);
  if (status == UDM_OK) status = check_direct(ctx, args, error);
  if (status != UDM_OK) return status;
  struct prepared *prepared = fill_kernel_launch(ctx, args, true, kernel_launch);
  pack_direct(&prepared->args, &prepared->derived, prepared->parameters);
  return UDM_OK;
}

udm_status udm_prepare_table(udm_context *ctx, const udm_decode_args *args,
                             CUdeviceptr backend_pointers, int64_t backend_pointers_stride,
                             udm_kernel_launch *kernel_launch) {
  struct error *const error = udm_thread_error();
  udm_status status = check_kernel_launch(kernel_launch, error);
  if (status == UDM_OK) {
    status = check_table(ctx, args, backend_pointers, backend_pointers_stride, error);
  }
  if (status != UDM_OK) return status;
  struct prepared *prepared = fill_kernel_launch(ctx, args, false, kernel_launch);
  prepared->table = (struct table){backend_pointers, backend_pointers_stride};
  pack_common(&prepared->args, &prepared->derived, prepared->parameters);
  pack_table(&prepared->args, &prepared->table, prepared->parameters + INPUTS + SCALARS);
  return UDM_OK;
}
