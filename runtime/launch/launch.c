/*
 * launch.c: checks the arguments, packs them, launches. It knows nothing of
 * NVRTC or files, and takes no lock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"
#include "core/struct_size.h"
#include "launch/context.h"
#include "launch/decode_args.h"
#include "launch/kernel_scalars.h"

/* The pointers of a pointer-table call; null for a direct call. */
struct table {
  CUdeviceptr backend_pointers;
  int64_t backend_pointers_stride;
};

/* A launch, but for what the parameters point to in udm_decode_args. */
struct launch_plan {
  CUfunction function;
  unsigned int grid;
  bool direct; /* the direct kernel; else the general one */
  struct udm_kernel_scalars scalars;
  union {
    struct udm_kernel_general general; /* of the general kernel */
    udm_decode_args args;              /* of the direct kernel, if the launch is prepared */
  };
};

/* An image of the shipped PTX has the general kernel alone. */
static bool uses_direct_kernel(const udm_context *ctx, const udm_decode_args *args,
                               const struct table *table) {
  return ctx->direct && !table && udm_has_direct_kernel(args);
}

static void plan_launch(const udm_context *ctx, const udm_decode_args *args,
                        const struct table *table, struct launch_plan *plan) {
  const unsigned int copies =
      udm_copy_blocks((unsigned)ctx->info.multiprocessor_count, args, !table);
  plan->direct = uses_direct_kernel(ctx, args, table);
  plan->function = plan->direct ? ctx->direct : ctx->general;
  udm_kernel_scalars_fill(args, !table, copies, &plan->scalars);
  plan->grid = plan->scalars.copy_blocks + udm_blocks_after_copies(args);
  if (plan->direct) return;
  udm_kernel_general_fill(args, &plan->general);
  if (table) {
    plan->general.phase.backend_pointers = (const long long *)(uintptr_t)table->backend_pointers;
    plan->general.phase.backend_pointers_stride = table->backend_pointers_stride;
  }
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
#define COUNT_OUTPUT(name) +1
enum {
  SCALARS = 0 UDM_KERNEL_SCALARS(COUNT_ONE),
  DIRECT_OUTPUTS = 0 UDM_KERNEL_DIRECT_OUTPUTS(COUNT_OUTPUT),
  DIRECT_POINTERS = UDM_KERNEL_DIRECT_BACKENDS * DIRECT_OUTPUTS,
  MOST_PARAMETERS = SCALARS + DIRECT_POINTERS + 1
};

/* The driver only reads the parameters, though its signature is not const. */
static void *parameter(const void *value) { return (void *)(uintptr_t)value; }

static void pack_scalars(const struct udm_kernel_scalars *scalars, void **parameters) {
#define PACK(type, name) *parameters++ = parameter(&scalars->name);
  UDM_KERNEL_SCALARS(PACK)
}

/* The pointer of a backend to an output: in its own ones, or in the extra ones. */
static const CUdeviceptr *pointer_of(const udm_decode_args *args, int b, int output) {
  if (output < UDM_KERNEL_OUTPUTS) return &args->backends[b].cache_seqlens + output;
  return &args->extra[b].cu_seqlens_q + (output - UDM_KERNEL_OUTPUTS);
}

static void pack_outputs(const udm_decode_args *args, void **pointers) {
  static const CUdeviceptr none = 0;
#define OUTPUT(name) UDM_KERNEL_##name,
  static const int outputs[] = {UDM_KERNEL_DIRECT_OUTPUTS(OUTPUT)};
  for (int o = 0; o < DIRECT_OUTPUTS; ++o) {
    for (int b = 0; b < UDM_KERNEL_DIRECT_BACKENDS; ++b) {
      *pointers++ = parameter(b < args->num_backends ? pointer_of(args, b, outputs[o]) : &none);
    }
  }
}

static void pack(const udm_decode_args *args, const struct launch_plan *plan, void **parameters) {
  pack_scalars(&plan->scalars, parameters);
  if (plan->direct) {
    pack_outputs(args, parameters + SCALARS);
    parameters[SCALARS + DIRECT_POINTERS] = parameter(&args->num_sms);
  } else {
    parameters[SCALARS] = parameter(&plan->general);
  }
}

static udm_status launch(const udm_context *ctx, const udm_decode_args *args,
                         const struct table *table, CUstream stream, struct error *error) {
  void *parameters[MOST_PARAMETERS];
  struct launch_plan plan;
  plan_launch(ctx, args, table, &plan);
  pack(args, &plan, parameters);
  const CUresult result = ctx->driver.cuLaunchKernel(
      plan.function, plan.grid, 1, 1, UDM_KERNEL_THREADS, 1, 1, 0, stream, parameters, NULL);
  if (result == CUDA_SUCCESS) return UDM_OK;
  return udm_fail_driver(&ctx->driver, UDM_ERROR_DRIVER, "cuLaunchKernel", NULL, result, error);
}

static udm_status check_backend_pointers(const struct table *table, int32_t num_backends,
                                         struct error *error) {
  const int64_t stride = table->backend_pointers_stride;
  if (!table->backend_pointers) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "backend_pointers is null");
  }
  if (table->backend_pointers % 8) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "backend_pointers is not aligned to its 8-byte elements: 0x%llx",
                    (unsigned long long)table->backend_pointers);
  }
  if (stride >= num_backends) return UDM_OK;
  return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                  "backend_pointers_stride is %" PRId64 " elements, less than the %" PRId32
                  " backends of a row",
                  stride, num_backends);
}

/* The checks of either call. *args becomes *storage if the caller's structure is an older one. */
static udm_status check_launch(const udm_context *ctx, const udm_decode_args **args,
                               udm_decode_args *storage, const struct table *table,
                               struct error *error) {
  udm_status status = udm_check_context(ctx, error);
  if (status != UDM_OK) return status;
  if (!table) return udm_check_decode_args(args, storage, error);
  status = udm_check_decode_args_for_table(args, storage, error);
  if (status != UDM_OK) return status;
  return check_backend_pointers(table, (*args)->num_backends, error);
}

udm_status udm_decode_metadata_direct(udm_context *ctx, const udm_decode_args *args,
                                      CUstream stream) {
  struct error *const error = udm_thread_error();
  udm_decode_args storage;
  const udm_status status = check_launch(ctx, &args, &storage, NULL, error);
  return status == UDM_OK ? launch(ctx, args, NULL, stream, error) : status;
}

udm_status udm_decode_metadata_table(udm_context *ctx, const udm_decode_args *args,
                                     CUdeviceptr backend_pointers, int64_t backend_pointers_stride,
                                     CUstream stream) {
  struct error *const error = udm_thread_error();
  const struct table table = {backend_pointers, backend_pointers_stride};
  udm_decode_args storage;
  const udm_status status = check_launch(ctx, &args, &storage, &table, error);
  return status == UDM_OK ? launch(ctx, args, &table, stream, error) : status;
}

/* The storage of udm_kernel_launch, to which the parameters of a prepared launch point. */
struct prepared {
  struct launch_plan plan;
  void *parameters[MOST_PARAMETERS]; /* at least those of the general kernel */
};

_Static_assert(sizeof(struct prepared) <= sizeof(((udm_kernel_launch *)0)->storage),
               "storage has its size for good: it is a part of the interface");
_Static_assert(offsetof(udm_kernel_launch, storage) % _Alignof(struct prepared) == 0, "alignment");

static udm_status prepare(const udm_context *ctx, const udm_decode_args *args,
                          const struct table *table, udm_kernel_launch *out, struct error *error) {
  udm_decode_args storage;
  udm_status status =
      udm_check_struct("kernel_launch", out, UDM_SIZE_UP_TO(udm_kernel_launch, storage), error);
  if (status == UDM_OK) status = check_launch(ctx, &args, &storage, table, error);
  if (status != UDM_OK) return status;
  struct prepared *prepared = (struct prepared *)(void *)out->storage;
  plan_launch(ctx, args, table, &prepared->plan);
  if (prepared->plan.direct) prepared->plan.args = *args;
  pack(&prepared->plan.args, &prepared->plan, prepared->parameters);
  out->function = prepared->plan.function;
  out->grid_x = prepared->plan.grid;
  out->block_x = UDM_KERNEL_THREADS;
  out->grid_y = out->grid_z = out->block_y = out->block_z = 1;
  out->shared_bytes = 0;
  out->parameters = prepared->parameters;
  return UDM_OK;
}

udm_status udm_prepare_direct(udm_context *ctx, const udm_decode_args *args,
                              udm_kernel_launch *kernel_launch) {
  return prepare(ctx, args, NULL, kernel_launch, udm_thread_error());
}

udm_status udm_prepare_table(udm_context *ctx, const udm_decode_args *args,
                             CUdeviceptr backend_pointers, int64_t backend_pointers_stride,
                             udm_kernel_launch *kernel_launch) {
  const struct table table = {backend_pointers, backend_pointers_stride};
  return prepare(ctx, args, &table, kernel_launch, udm_thread_error());
}
