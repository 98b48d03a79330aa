/*
 * launch.c: checks the arguments, packs them, launches. It knows nothing of
 * NVRTC or of files, and takes no lock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdint.h>

#include "context.h"
#include "decode_args.h"
#include "fork_guard.h"
#include "kernel_interface.h"
#include "status.h"

/* The largest grid.y of every GPU, less the row of blocks that writes the lengths. */
enum { MOST_ROWS = 65535 - 1 };

/* Blocks per multiprocessor: enough to fill it twice; more would only start and leave. */
enum { BLOCKS_PER_MULTIPROCESSOR = 16 };

struct grid {
  unsigned int x; /* column tiles */
  unsigned int y; /* 1 + rows */
};

/* Depends on the arguments alone, never on what the tensors hold: see the kernel. */
static struct grid grid_for(const udm_context *ctx, const udm_decode_args *args) {
  struct grid grid = {1, 1};
  if (!udm_has_page_columns(args)) return grid;
  const unsigned int rows = args->batch_size < MOST_ROWS ? (unsigned)args->batch_size : MOST_ROWS;
  const unsigned int tiles = ((unsigned)args->max_len - 1) / UDM_KERNEL_TILE_COLUMNS + 1;
  const unsigned int budget = (unsigned)ctx->info.multiprocessor_count * BLOCKS_PER_MULTIPROCESSOR;
  const unsigned int most_tiles = budget / rows > 0 ? budget / rows : 1;
  grid.x = tiles < most_tiles ? tiles : most_tiles;
  grid.y = 1 + rows;
  return grid;
}

static unsigned int flags_of(const udm_decode_args *args) {
  unsigned int flags = 0;
  if (args->seq_lens_type == UDM_INT64) flags |= UDM_KERNEL_SEQ_LENS_INT64;
  if (args->req_pool_indices_type == UDM_INT64) flags |= UDM_KERNEL_REQ_POOL_INDICES_INT64;
  if (args->extent == UDM_EXTENT_BATCH_MAX) flags |= UDM_KERNEL_EXTENT_BATCH_MAX;
  return flags;
}

enum {
  INPUTS = 3,
  DIRECT_OUTPUTS = UDM_MAX_DIRECT_BACKENDS * UDM_OUTPUTS_PER_BACKEND,
  TABLE_PARAMETERS = 2,
  SCALARS = 9
};

/* The driver only reads the parameters, but takes pointers to non-const. */
static void *parameter(const void *value) { return (void *)(uintptr_t)value; }

static void pack_inputs(const udm_decode_args *args, void **parameters) {
  parameters[0] = parameter(&args->seq_lens);
  parameters[1] = parameter(&args->req_pool_indices);
  parameters[2] = parameter(&args->req_to_token);
}

/* The order of UDM_SCALARS in the kernel's source. */
static void pack_scalars(const udm_decode_args *args, const unsigned int *flags,
                         void **parameters) {
  parameters[0] = parameter(&args->batch_size);
  parameters[1] = parameter(&args->max_len);
  parameters[2] = parameter(&args->num_backends);
  parameters[3] = parameter(&args->nsa_index_topk);
  parameters[4] = parameter(&args->real_page_size);
  parameters[5] = parameter(flags);
  parameters[6] = parameter(&args->req_to_token_stride);
  parameters[7] = parameter(&args->page_table_stride);
  parameters[8] = parameter(&args->real_page_table_stride);
}

static udm_status launch(const udm_context *ctx, CUfunction function, const udm_decode_args *args,
                         CUstream stream, void **parameters) {
  const struct grid grid = grid_for(ctx, args);
  const CUresult result = ctx->driver.cuLaunchKernel(
      function, grid.x, grid.y, 1, UDM_KERNEL_THREADS_PER_BLOCK, 1, 1, 0, stream, parameters, NULL);
  if (result == CUDA_SUCCESS) return UDM_OK;
  return udm_fail_driver(&ctx->driver, UDM_ERROR_DRIVER, "cuLaunchKernel", NULL, result);
}

udm_status udm_decode_metadata_direct(udm_context *ctx, const udm_decode_args *args,
                                      CUstream stream) {
  udm_status status = udm_check_context(ctx);
  if (status == UDM_OK) status = udm_check_decode_args(args, UDM_MAX_DIRECT_BACKENDS);
  if (status != UDM_OK) return status;

  void *parameters[INPUTS + DIRECT_OUTPUTS + SCALARS];
  const unsigned int flags = flags_of(args);
  pack_inputs(args, parameters);
  for (int b = 0; b < UDM_MAX_DIRECT_BACKENDS; ++b) {
    const CUdeviceptr *outputs = &args->backends[b].cache_seqlens; /* the first of seven */
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      parameters[INPUTS + b * UDM_OUTPUTS_PER_BACKEND + o] = parameter(outputs + o);
    }
  }
  pack_scalars(args, &flags, parameters + INPUTS + DIRECT_OUTPUTS);
  return launch(ctx, ctx->direct, args, stream, parameters);
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

udm_status udm_decode_metadata_table(udm_context *ctx, const udm_decode_args *args,
                                     CUdeviceptr backend_pointers, int64_t backend_pointers_stride,
                                     CUstream stream) {
  udm_status status = udm_check_context(ctx);
  if (status == UDM_OK) status = udm_check_decode_args_for_table(args);
  if (status != UDM_OK) return status;
  status = check_backend_pointers(backend_pointers, backend_pointers_stride, args->num_backends);
  if (status != UDM_OK) return status;

  void *parameters[INPUTS + TABLE_PARAMETERS + SCALARS];
  const unsigned int flags = flags_of(args);
  pack_inputs(args, parameters);
  parameters[INPUTS] = &backend_pointers;
  parameters[INPUTS + 1] = &backend_pointers_stride;
  pack_scalars(args, &flags, parameters + INPUTS + TABLE_PARAMETERS);
  return launch(ctx, ctx->table, args, stream, parameters);
}
