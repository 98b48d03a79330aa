/*
 * context.c: creates and destroys a udm_context.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "context.h"

#include <stdlib.h>
#include <string.h>

#include "fork_guard.h"
#include "host_memory.h"
#include "image.h"
#include "status.h"
#include "struct_size.h"

static udm_status find_device(udm_context *ctx) {
  const struct driver *driver = &ctx->driver;
  CUdevice device = 0;
  CUresult result = driver->cuInit(0);
  if (result != CUDA_SUCCESS) {
    const udm_status status =
        result == CUDA_ERROR_NO_DEVICE ? UDM_ERROR_NO_DEVICE : UDM_ERROR_DRIVER;
    return udm_fail_driver(driver, status, "cuInit", NULL, result);
  }
  result = driver->cuCtxGetCurrent(&ctx->cuda_context);
  if (result != CUDA_SUCCESS) {
    return udm_fail_driver(driver, UDM_ERROR_DRIVER, "cuCtxGetCurrent", NULL, result);
  }
  if (!ctx->cuda_context) {
    return udm_fail(UDM_ERROR_NO_CURRENT_CONTEXT,
                    "the calling thread has no current CUDA context: call cuCtxSetCurrent, or "
                    "anything of the CUDA runtime, before udm_create");
  }
  result = driver->cuCtxGetDevice(&device);
  if (result != CUDA_SUCCESS) {
    return udm_fail_driver(driver, UDM_ERROR_DRIVER, "cuCtxGetDevice", NULL, result);
  }
  int multiprocessors = 0;
  result = driver->cuDeviceGetAttribute(&multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
                                        device);
  if (result != CUDA_SUCCESS) {
    return udm_fail_driver(driver, UDM_ERROR_DRIVER, "cuDeviceGetAttribute",
                           "number of multiprocessors", result);
  }
  ctx->info.device = device;
  ctx->info.multiprocessor_count = multiprocessors;
  return udm_driver_device_arch(driver, device, &ctx->info.device_arch);
}

/* The errors that speak of the image; any other one would befall the next image too. */
static udm_status status_of_loading(CUresult result) {
  switch (result) {
    case CUDA_SUCCESS:
      return UDM_OK;
    case CUDA_ERROR_INVALID_IMAGE:
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_INVALID_PTX:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
    case CUDA_ERROR_INVALID_SOURCE:
    case CUDA_ERROR_NOT_FOUND:
      return UDM_ERROR_NO_IMAGE;
    default:
      return UDM_ERROR_DRIVER;
  }
}

static udm_status find_function(udm_context *ctx, const char *name, CUfunction *function) {
  const CUresult result = ctx->driver.cuModuleGetFunction(function, ctx->module, name);
  if (result == CUDA_SUCCESS) return UDM_OK;
  return udm_fail_driver(&ctx->driver, status_of_loading(result), "cuModuleGetFunction", name,
                         result);
}

static void unload(udm_context *ctx) {
  if (ctx->module) ctx->driver.cuModuleUnload(ctx->module);
  ctx->module = NULL;
}

static udm_status load_image(void *user_data, const struct image *image) {
  udm_context *ctx = user_data;
  const CUresult result = ctx->driver.cuModuleLoadDataEx(&ctx->module, image->bytes, 0, NULL, NULL);
  if (result != CUDA_SUCCESS) {
    ctx->module = NULL;
    return udm_fail_driver(&ctx->driver, status_of_loading(result), "cuModuleLoadDataEx",
                           image->origin, result);
  }
  udm_status status = find_function(ctx, "udm_decode_metadata_direct", &ctx->direct);
  if (status == UDM_OK) status = find_function(ctx, "udm_decode_metadata_table", &ctx->table);
  if (status != UDM_OK) unload(ctx);
  return status;
}

udm_status udm_create(const udm_options *options, udm_context **out) {
  struct settings settings;
  struct image image;
  udm_context *ctx = NULL;
  if (!out) return udm_fail(UDM_ERROR_INVALID_ARGUMENT, "out is null");
  *out = NULL;
  udm_status status = udm_settings_resolve(options, &settings);
  if (status != UDM_OK) return status;
  ctx = udm_calloc(1, sizeof *ctx);
  if (!ctx) return udm_fail_memory("the udm context", sizeof *ctx);

  ctx->process_number = udm_process_number;
  status = udm_fork_guard_install();
  if (status == UDM_OK) status = udm_driver_open(&settings, &ctx->driver);
  if (status == UDM_OK) status = find_device(ctx);
  if (status == UDM_OK) {
    status = udm_image_serve(&settings, ctx->info.device_arch, load_image, ctx, &image);
  }
  if (status != UDM_OK) {
    udm_driver_close(&ctx->driver);
    udm_free(ctx);
    return status;
  }
  ctx->info.struct_size = sizeof ctx->info;
  ctx->info.image_arch = image.arch;
  ctx->info.image_source = image.source;
  ctx->info.image_bytes = image.size;
  *out = ctx;
  return UDM_OK;
}

void udm_destroy(udm_context *ctx) {
  CUcontext previous = NULL;
  if (!ctx) return;
  if (!udm_is_of_parent(ctx) &&
      ctx->driver.cuCtxPushCurrent_v2(ctx->cuda_context) == CUDA_SUCCESS) {
    unload(ctx);
    ctx->driver.cuCtxPopCurrent_v2(&previous);
  }
  udm_driver_close(&ctx->driver);
  udm_free(ctx);
}

udm_status udm_get_context_info(const udm_context *ctx, udm_context_info *info) {
  if (!ctx) return udm_fail(UDM_ERROR_INVALID_ARGUMENT, "ctx is null");
  const udm_status status =
      udm_check_struct("info", info, UDM_SIZE_UP_TO(udm_context_info, multiprocessor_count));
  if (status == UDM_OK) udm_fill_struct(info, &ctx->info, sizeof ctx->info);
  return status;
}
