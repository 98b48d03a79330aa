/*
 * launch.c: checks the arguments, packs them, launches. It knows nothing of
 * NVRTC or of files, and takes no lock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "context.h"
#include "decode_args.h"
#include "fork_guard.h"
#include "kernel_interface.h"
#include "status.h"
#include "struct_size.h"

/*
 * Blocks that copy on a multiprocessor. One keeps the memory busy, and each more would count the
 * batch once more; where rows are more than threads, two hide better that rows are looked up.
 */
static unsigned int blocks_per_multiprocessor(const udm_decode_args *args) {
  return args->batch_size > UDM_KERNEL_THREADS_PER_BLOCK ? 2 : 1;
}

/* What is worth a block: a line of 32 columns for each of its warps. */
enum { COLUMNS_OF_BLOCK = UDM_KERNEL_THREADS_PER_BLOCK };

/* Of the kernel: how many blocks, the first ones, write the lengths and prefix sums. */
static unsigned int length_blocks(const udm_decode_args *args) {
  const unsigned int threads = UDM_KERNEL_THREADS_PER_BLOCK;
  const unsigned int blocks = ((unsigned)args->batch_size + threads - 1) / threads;
  if (blocks == 0) return 1;
  return blocks < UDM_KERNEL_MAX_LENGTH_BLOCKS ? blocks : UDM_KERNEL_MAX_LENGTH_BLOCKS;
}

/* Depends on the arguments alone, never on what the tensors hold: see the kernel. */
static unsigned int grid_for(const udm_context *ctx, const udm_decode_args *args) {
  const unsigned int blocks = length_blocks(args);
  if (!udm_has_page_columns(args)) return blocks;
  const unsigned int most =
      (unsigned)ctx->info.multiprocessor_count * blocks_per_multiprocessor(args);
  const uint64_t columns = (uint64_t)args->batch_size * (unsigned)args->max_len;
  const uint64_t copiers = columns / COLUMNS_OF_BLOCK + 1;
  return blocks + (copiers < most ? (unsigned)copiers : most);
}

/*
 * By how much the kernel's units must be larger for their number to have 31 bits. A unit is 128
 * columns, or 32 pages of at least 2; a row that lies askew has one more. At the end of the loop a
 * row is one unit.
 */
static unsigned int unit_shift(const udm_decode_args *args) {
  const uint64_t columns = (uint64_t)args->max_len + 62;
  unsigned int shift = 0;
  while ((uint64_t)(unsigned)args->batch_size * ((columns >> (6 + shift)) + 1) >> 31) ++shift;
  return shift;
}

static unsigned int flags_of(const udm_decode_args *args) {
  unsigned int flags = unit_shift(args) << UDM_KERNEL_UNIT_SHIFT;
  if (args->seq_lens_type == UDM_INT64) flags |= UDM_KERNEL_SEQ_LENS_INT64;
  if (args->req_pool_indices_type == UDM_INT64) flags |= UDM_KERNEL_REQ_POOL_INDICES_INT64;
  if (args->extent == UDM_EXTENT_BATCH_MAX) flags |= UDM_KERNEL_EXTENT_BATCH_MAX;
  return flags;
}

/* What the kernel takes that is not in udm_decode_args as it is. */
enum { FLAGS, PAGE_RECIPROCAL, DERIVED };

static void derive(const udm_decode_args *args, uint32_t derived[DERIVED]) {
  derived[FLAGS] = flags_of(args);
  derived[PAGE_RECIPROCAL] = UINT32_MAX / (uint32_t)args->real_page_size;
}

enum {
  INPUTS = 3,
  FEW_BACKENDS = 3, /* of the direct entry's first kernel; the second takes all */
  TABLE_PARAMETERS = 2,
  SCALARS = 10,
  MOST_DIRECT_PARAMETERS = INPUTS + UDM_MAX_DIRECT_BACKENDS * UDM_OUTPUTS_PER_BACKEND + SCALARS
};

/* The driver only reads the parameters, but takes pointers to non-const. */
static void *parameter(const void *value) { return (void *)(uintptr_t)value; }

static void pack_inputs(const udm_decode_args *args, void **parameters) {
  parameters[0] = parameter(&args->seq_lens);
  parameters[1] = parameter(&args->req_pool_indices);
  parameters[2] = parameter(&args->req_to_token);
}

/* The order of UDM_SCALARS in the kernel's source. */
static void pack_scalars(const udm_decode_args *args, const uint32_t derived[DERIVED],
                         void **parameters) {
  parameters[0] = parameter(&args->batch_size);
  parameters[1] = parameter(&args->max_len);
  parameters[2] = parameter(&args->num_backends);
  parameters[3] = parameter(&args->nsa_index_topk);
  parameters[4] = parameter(&args->real_page_size);
  parameters[5] = parameter(&derived[FLAGS]);
  parameters[6] = parameter(&derived[PAGE_RECIPROCAL]);
  parameters[7] = parameter(&args->req_to_token_stride);
  parameters[8] = parameter(&args->page_table_stride);
  parameters[9] = parameter(&args->real_page_table_stride);
}

static bool is_for_few(const udm_decode_args *args) { return args->num_backends <= FEW_BACKENDS; }

static CUfunction direct_function(const udm_context *ctx, const udm_decode_args *args) {
  return is_for_few(args) ? ctx->direct : ctx->direct8;
}

static void pack_direct(const udm_decode_args *args, const uint32_t derived[DERIVED],
                        void **parameters) {
  static const CUdeviceptr none = 0;
  const int backends = is_for_few(args) ? FEW_BACKENDS : UDM_MAX_DIRECT_BACKENDS;
  pack_inputs(args, parameters);
  for (int b = 0; b < backends; ++b) {
    const CUdeviceptr *first = &args->backends[b].cache_seqlens; /* of seven */
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      parameters[INPUTS + b * UDM_OUTPUTS_PER_BACKEND + o] =
          parameter(b < args->num_backends ? first + o : &none);
    }
  }
  const int outputs = backends * UDM_OUTPUTS_PER_BACKEND;
  pack_scalars(args, derived, parameters + INPUTS + outputs);
}

static void pack_table(const udm_decode_args *args, const uint32_t derived[DERIVED],
                       const CUdeviceptr *backend_pointers, const int64_t *stride,
                       void **parameters) {
  pack_inputs(args, parameters);
  parameters[INPUTS] = parameter(backend_pointers);
  parameters[INPUTS + 1] = parameter(stride);
  pack_scalars(args, derived, parameters + INPUTS + TABLE_PARAMETERS);
}

static udm_status launch(const udm_context *ctx, CUfunction function, const udm_decode_args *args,
                         CUstream stream, void **parameters) {
  const CUresult result =
      ctx->driver.cuLaunchKernel(function, grid_for(ctx, args), 1, 1, UDM_KERNEL_THREADS_PER_BLOCK,
                                 1, 1, 0, stream, parameters, NULL);
  if (result == CUDA_SUCCESS) return UDM_OK;
  return udm_fail_driver(&ctx->driver, UDM_ERROR_DRIVER, "cuLaunchKernel", NULL, result);
}

static udm_status check_direct(const udm_context *ctx, const udm_decode_args *args) {
  const udm_status status = udm_check_context(ctx);
  return status == UDM_OK ? udm_check_decode_args(args, UDM_MAX_DIRECT_BACKENDS) : status;
}

static udm_status check_backend_pointers(CUdeviceptr backend_pointers, int64_t stride,
                                         int32_t num_backends) {
  if (!backend_pointers) {
    return udm_fail(UDM_ERROR_INVALID_ARGUMENT, "backend_pointers is null");
  }
  if (backend_pointers % 8) {
    return udm_fail(UDM_ERROR_INVALID_ARGUMENT,
                    "backend_pointers is not aligned to its 8-byte elements: 0x%llx",
                    (unsigned long long)backend_pointers);
  }
  if (stride < num_backends) {
    return udm_fail(UDM_ERROR_INVALID_ARGUMENT,
                    "backend_pointers_stride is %" PRId64 " elements, less than the %" PRId32
                    " backends of a row",
                    stride, num_backends);
  }
  return UDM_OK;
}

static udm_status check_table(const udm_context *ctx, const udm_decode_args *args,
                              CUdeviceptr backend_pointers, int64_t stride) {
  udm_status status = udm_check_context(ctx);
  if (status == UDM_OK) status = udm_check_decode_args_for_table(args);
  if (status != UDM_OK) return status;
  return check_backend_pointers(backend_pointers, stride, args->num_backends);
}

udm_status udm_decode_metadata_direct(udm_context *ctx, const udm_decode_args *args,
                                      CUstream stream) {
  const udm_status status = check_direct(ctx, args);
  if (status != UDM_OK) return status;
  void *parameters[MOST_DIRECT_PARAMETERS];
  uint32_t derived[DERIVED];
  derive(args, derived);
  pack_direct(args, derived, parameters);
  return launch(ctx, direct_function(ctx, args), args, stream, parameters);
}

udm_status udm_decode_metadata_table(udm_context *ctx, const udm_decode_args *args,
                                     CUdeviceptr backend_pointers, int64_t backend_pointers_stride,
                                     CUstream stream) {
  const udm_status status = check_table(ctx, args, backend_pointers, backend_pointers_stride);
  if (status != UDM_OK) return status;
  void *parameters[INPUTS + TABLE_PARAMETERS + SCALARS];
  uint32_t derived[DERIVED];
  derive(args, derived);
  pack_table(args, derived, &backend_pointers, &backend_pointers_stride, parameters);
  return launch(ctx, ctx->table, args, stream, parameters);
}

/* What `parameters` of a prepared launch points to: udm_kernel_launch's storage. */
struct prepared {
  CUdeviceptr backend_pointers;
  int64_t backend_pointers_stride;
  uint32_t derived[DERIVED];
  udm_decode_args args;
  void *pointers[MOST_DIRECT_PARAMETERS]; /* more than those of the table entry */
};

_Static_assert(sizeof(struct prepared) <= sizeof(((udm_kernel_launch *)0)->storage),
               "storage has its size for good: it is a part of the interface");
_Static_assert(offsetof(udm_kernel_launch, storage) % _Alignof(struct prepared) == 0, "alignment");

static udm_status check_kernel_launch(const udm_kernel_launch *kernel_launch) {
  return udm_check_struct("kernel_launch", kernel_launch,
                          UDM_SIZE_UP_TO(udm_kernel_launch, storage));
}

/* All but the parameters, and the copy of what they point to. */
static struct prepared *fill_kernel_launch(const udm_context *ctx, CUfunction function,
                                           const udm_decode_args *args, udm_kernel_launch *out) {
  struct prepared *prepared = (struct prepared *)(void *)out->storage;
  const size_t known = args->struct_size < sizeof *args ? args->struct_size : sizeof *args;
  out->function = function;
  out->grid_x = grid_for(ctx, args);
  out->block_x = UDM_KERNEL_THREADS_PER_BLOCK;
  out->grid_y = out->grid_z = out->block_y = out->block_z = 1;
  out->shared_bytes = 0;
  out->parameters = prepared->pointers;
  memcpy(&prepared->args, args, known);
  derive(args, prepared->derived);
  return prepared;
}

udm_status udm_prepare_direct(udm_context *ctx, const udm_decode_args *args,
                              udm_kernel_launch *kernel_launch) {
  udm_status status = check_kernel_launch(kernel_launch);
  if (status == UDM_OK) status = check_direct(ctx, args);
  if (status != UDM_OK) return status;
  struct prepared *prepared =
      fill_kernel_launch(ctx, direct_function(ctx, args), args, kernel_launch);
  pack_direct(&prepared->args, prepared->derived, prepared->pointers);
  return UDM_OK;
}

udm_status udm_prepare_table(udm_context *ctx, const udm_decode_args *args,
                             CUdeviceptr backend_pointers, int64_t backend_pointers_stride,
                             udm_kernel_launch *kernel_launch) {
  udm_status status = check_kernel_launch(kernel_launch);
  if (status == UDM_OK) {
    status = check_table(ctx, args, backend_pointers, backend_pointers_stride);
  }
  if (status != UDM_OK) return status;
  struct prepared *prepared = fill_kernel_launch(ctx, ctx->table, args, kernel_launch);
  prepared->backend_pointers = backend_pointers;
  prepared->backend_pointers_stride = backend_pointers_stride;
  pack_table(&prepared->args, prepared->derived, &prepared->backend_pointers,
             &prepared->backend_pointers_stride, prepared->pointers);
  return UDM_OK;
}
