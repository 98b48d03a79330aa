/*
 * context.c: creates and destroys a udm_context.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "launch/context.h"

#include <stdlib.h>
#include <string.h>

#include "core/allocator.h"
#include "core/status.h"
#include "core/struct_size.h"
#include "image/assemble.h"
#include "image/image.h"
#include "launch/fork_guard.h"
#include "launch/kernel_interface.h"

/*
 * cuCtxGetId (CUDA 12) tells a destroyed context from a later one at its address;
 * cuCtxGetApiVersion whether there is one at all.
 */
static CUresult ask_id(const struct driver *driver, CUcontext context, unsigned long long *id) {
  unsigned int version = 0;
  *id = 0;
  if (driver->cuCtxGetId) return driver->cuCtxGetId(context, id);
  return driver->cuCtxGetApiVersion ? driver->cuCtxGetApiVersion(context, &version) : CUDA_SUCCESS;
}

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
  result = ask_id(driver, ctx->cuda_context, &ctx->cuda_context_id);
  if (result != CUDA_SUCCESS) {
    const char *call = driver->cuCtxGetId ? "cuCtxGetId" : "cuCtxGetApiVersion";
    return udm_fail_driver(driver, UDM_ERROR_DRIVER, call, NULL, result);
  }
  ctx->info.device = device;
  ctx->info.multiprocessor_count = multiprocessors;
  return udm_driver_device_arch(driver, device, &ctx->info.device_arch);
}

static udm_status load_image(void *user_data, const struct image *image) {
  udm_context *ctx = user_data;
  const struct driver *driver = &ctx->driver;
  udm_status status = udm_code_load(driver, image, &ctx->code);
  if (status != UDM_OK) return status;
  const struct {
    const char *name;
    CUfunction *function;
  } kernels[] = {
#define KERNEL(name) {"udm_decode_metadata_" #name, &ctx->name},
      UDM_FOR_EACH_KERNEL(KERNEL)
#undef KERNEL
  };
  for (size_t k = 0; status == UDM_OK && k < sizeof kernels / sizeof kernels[0]; ++k) {
    status = udm_code_function(driver, &ctx->code, kernels[k].name, kernels[k].function);
  }
  if (status != UDM_OK) udm_code_unload(driver, &ctx->code);
  return status;
}

static udm_status assemble_ptx(void *user_data, const char *ptx, const char *origin,
                               unsigned char **cubin, size_t *size) {
  const udm_context *ctx = user_data;
  return udm_assemble(&ctx->driver, ptx, origin, cubin, size);
}

static udm_status climb(const struct settings *settings, udm_context *ctx) {
  struct image image;
  struct image_driver driver = {load_image, NULL, 0, ctx};
  const CUresult result = ctx->driver.cuDriverGetVersion(&driver.version);
  if (result != CUDA_SUCCESS) {
    return udm_fail_driver(&ctx->driver, UDM_ERROR_DRIVER, "cuDriverGetVersion", NULL, result);
  }
  if (udm_can_assemble(&ctx->driver)) driver.assemble = assemble_ptx;
  const udm_status status = udm_image_serve(settings, ctx->info.device_arch, &driver, &image, NULL);
  if (status != UDM_OK) return status;
  ctx->info.struct_size = sizeof ctx->info;
  ctx->info.image_arch = image.arch;
  ctx->info.image_source = image.source;
  ctx->info.image_bytes = image.size;
  return UDM_OK;
}

/*
 * Code is loaded and unloaded with this thread's capture mode relaxed: another
 * stream's capture, of this thread or another, neither forbids it nor is
 * invalidated by it. A driver before CUDA 10.1 has no such mode.
 */
static CUresult exchange_capture_mode(const struct driver *driver, CUstreamCaptureMode *mode) {
  if (!driver->cuThreadExchangeStreamCaptureMode) return CUDA_SUCCESS;
  return driver->cuThreadExchangeStreamCaptureMode(mode);
}

static udm_status climb_during_capture(const struct settings *settings, udm_context *ctx) {
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  const CUresult result = exchange_capture_mode(&ctx->driver, &mode);
  if (result != CUDA_SUCCESS) {
    return udm_fail_driver(&ctx->driver, UDM_ERROR_DRIVER, "cuThreadExchangeStreamCaptureMode",
                           NULL, result);
  }
  const udm_status status = climb(settings, ctx);
  exchange_capture_mode(&ctx->driver, &mode);
  return status;
}

udm_status udm_create(const udm_options *options, udm_context **out) {
  struct settings settings;
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
  if (status == UDM_OK) status = climb_during_capture(&settings, ctx);
  if (status != UDM_OK) {
    udm_driver_close(&ctx->driver);
    udm_free(ctx);
    return status;
  }
  *out = ctx;
  return UDM_OK;
}

/* A real driver lets a destroyed context be made current, and crashes later: so it is asked first.
 */
static bool is_alive(const udm_context *ctx) {
  unsigned long long id = 0;
  return !udm_is_of_parent(ctx) && ask_id(&ctx->driver, ctx->cuda_context, &id) == CUDA_SUCCESS &&
         id == ctx->cuda_context_id;
}

/* A library needs no current context to be unloaded; a module does. */
void udm_destroy(udm_context *ctx) {
  CUcontext previous = NULL;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  if (!ctx) return;
  const struct driver *driver = &ctx->driver;
  const bool pushed =
      is_alive(ctx) && driver->cuCtxPushCurrent_v2(ctx->cuda_context) == CUDA_SUCCESS;
  if (pushed || (ctx->code.library && !udm_is_of_parent(ctx))) {
    const bool relaxed = exchange_capture_mode(driver, &mode) == CUDA_SUCCESS;
    udm_code_unload(driver, &ctx->code);
    if (relaxed) exchange_capture_mode(driver, &mode);
  }
  if (pushed) driver->cuCtxPopCurrent_v2(&previous);
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
