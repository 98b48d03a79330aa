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
#include "launch/kernel_scalars.h"

/* Kernel parameters that are not in udm_decode_args, or not in the kernel's type. */
struct launch_plan {
  struct udm_kernel_scalars scalars;
  unsigned int grid;
};

static struct launch_plan plan_launch(const udm_context *ctx, const udm_decode_args *args,
                                      bool direct) {
  struct launch_plan plan;
  const unsigned int copies = udm_copy_blocks((unsigned)ctx->info.multiprocessor_count, args);
  udm_kernel_scalars_fill(args, direct, copies, &plan.scalars);
  plan.grid = plan.scalars.copy_blocks + udm_length_blocks(args);
  return plan;
}

/* The kernel and the public interface order the outputs in the same way. */
_Static_assert((int)UDM_KERNEL_CACHE_SEQLENS == UDM_OUTPUT_CACHE_SEQLENS, "order");
_Static_assert((int)UDM_KERNEL_CU_SEQLENS_K == UDM_OUTPUT_CU_SEQLENS_K, "order");
_Static_assert((int)UDM_KERNEL_PAGE_TABLE_1 == UDM_OUTPUT_PAGE_TABLE_1, "order");
_Static_assert((int)UDM_KERNEL_NSA_CACHE_SEQLENS == UDM_OUTPUT_NSA_CACHE_SEQLENS, "order");
_Static_assert((int)UDM_KERNEL_NSA_CU_SEQLENS_K == UDM_OUTPUT_NSA_CU_SEQLENS_K, "order");
_Static_assert((int)UDM_KERNEL_REAL_PAGE_TABLE == UDM_OUTPUT_REAL_PAGE_TABLE, "order");
_Static_assert((int)UDM_KERNEL_SEQLENS_EXPANDED == UDM_OUTPUT_SEQLENS_EXPANDED, "order");
_Static_assert((int)UDM_KERNEL_OUTPUTS == UDM_OUTPUTS_PER_BACKEND, "order");

#define COUNT_ONE(type, name) +1
enum {
  SCALARS = 0 UDM_KERNEL_SCALARS(COUNT_ONE),
  GENERAL_PARAMETERS = 3,
  DIRECT_POINTERS = UDM_KERNEL_DIRECT_BACKENDS * UDM_KERNEL_OUTPUTS,
  MOST_PARAMETERS = SCALARS + DIRECT_POINTERS
};

/* The driver only reads the parameters, though its signature is not const. */
static void *parameter(const void *value) { return (void *)(uintptr_t)value; }

static void pack_scalars(const struct udm_kernel_scalars *scalars, void **parameters) {
#define PACK(type, name) *parameters++ = parameter(&scalars->name);
  UDM_KERNEL_SCALARS(PACK)
}

static void pack_outputs(const udm_decode_args *args, void **pointers) {
  static const CUdeviceptr none = 0;
#define OUTPUT(name) UDM_OUTPUT_##name,
  static const int outputs[] = {UDM_KERNEL_DIRECT_OUTPUTS(OUTPUT)};
  for (int o = 0; o < UDM_KERNEL_OUTPUTS; ++o) {
    for (int b = 0; b < UDM_KERNEL_DIRECT_BACKENDS; ++b) {
      const CUdeviceptr *first = &args->backends[b].cache_seqlens; /* the first of seven */
      *pointers++ = parameter(b < args->num_backends ? first + outputs[o] : &none);
    }
  }
}

/* A pointer table in device memory. If it is null, the general kernel uses the pointers of args. */
struct table {
  CUdeviceptr backend_pointers;
  int64_t backend_pointers_stride;
};

static void pack_table(const udm_decode_args *args, const struct table *table, void **parameters) {
  parameters[0] = parameter(&table->backend_pointers);
  parameters[1] = parameter(&table->backend_pointers_stride);
  parameters[2] = parameter(args->backends);
}

static const struct table no_table = {0, 0};

/* An image of the shipped PTX has the general kernel alone. */
static bool uses_direct_kernel(const udm_context *ctx, const udm_decode_args *args) {
  return ctx->direct && args->num_backends <= UDM_KERNEL_DIRECT_BACKENDS;
}

static CUfunction direct_function(const udm_context *ctx, const udm_decode_args *args) {
  return uses_direct_kernel(ctx, args) ? ctx->direct : ctx->general;
}

static void pack_direct(const udm_context *ctx, const udm_decode_args *args,
                        const struct udm_kernel_scalars *scalars, void **parameters) {
  pack_scalars(scalars, parameters);
  if (uses_direct_kernel(ctx, args)) {
    pack_outputs(args, parameters + SCALARS);
  } else {
    pack_table(args, &no_table, parameters + SCALARS);
  }
}

static udm_status launch(const udm_context *ctx, CUfunction function, unsigned int grid,
                         CUstream stream, void **parameters, struct error *error) {
  const CUresult result = ctx->driver.cuLaunchKernel(
      function, grid, 1, 1, UDM_KERNEL_THREADS, 1, 1, 0, stream, parameters, NULL);
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
  const struct launch_plan plan = plan_launch(ctx, args, true);
  pack_direct(ctx, args, &plan.scalars, parameters);
  return launch(ctx, direct_function(ctx, args), plan.grid, stream, parameters, error);
}

udm_status udm_decode_metadata_table(udm_context *ctx, const udm_decode_args *args,
                                     CUdeviceptr backend_pointers, int64_t backend_pointers_stride,
                                     CUstream stream) {
  struct error *const error = udm_thread_error();
  const udm_status status =
      check_table(ctx, args, backend_pointers, backend_pointers_stride, error);
  if (status != UDM_OK) return status;
  void *parameters[SCALARS + GENERAL_PARAMETERS];
  const struct launch_plan plan = plan_launch(ctx, args, false);
  const struct table table = {backend_pointers, backend_pointers_stride};
  pack_scalars(&plan.scalars, parameters);
  pack_table(args, &table, parameters + SCALARS);
  return launch(ctx, ctx->general, plan.grid, stream, parameters, error);
}

/* The storage of udm_kernel_launch, to which the parameters of a prepared launch point. */
struct prepared {
  struct table table;
  struct launch_plan plan;
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
  prepared->plan = plan_launch(ctx, args, direct);
  out->function = direct ? direct_function(ctx, args) : ctx->general;
  out->grid_x = prepared->plan.grid;
  out->block_x = UDM_KERNEL_THREADS;
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
  pack_direct(ctx, &prepared->args, &prepared->plan.scalars, prepared->parameters);
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
  pack_scalars(&prepared->plan.scalars, prepared->parameters);
  pack_table(&prepared->args, &prepared->table, prepared->parameters + SCALARS);
  return UDM_OK;
}
