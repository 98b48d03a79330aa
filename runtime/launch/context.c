/*
 * context.c: creates and destroys a udm_context.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "launch/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/allocator.h"
#include "core/counters.h"
#include "core/status.h"
#include "core/struct_size.h"
#include "image/image_resolve.h"

/*
 * cuCtxGetId (CUDA 12) distinguishes a destroyed context from a later one at the same address.
 * cuCtxGetApiVersion only says whether there is a context at that address.
 */
static CUresult ask_id(const struct driver *driver, CUcontext context, unsigned long long *id) {
  unsigned int version = 0;
  *id = 0;
  if (driver->cuCtxGetId) return driver->cuCtxGetId(context, id);
  return driver->cuCtxGetApiVersion ? driver->cuCtxGetApiVersion(context, &version) : CUDA_SUCCESS;
}

static udm_status find_device(udm_context *ctx, struct error *error) {
  const struct driver *driver = &ctx->driver;
  CUdevice device = 0;
  CUresult result = driver->cuInit(0);
  if (result != CUDA_SUCCESS) {
    const udm_status status =
        result == CUDA_ERROR_NO_DEVICE ? UDM_ERROR_NO_DEVICE : UDM_ERROR_DRIVER;
    return udm_fail_driver(driver, status, "cuInit", NULL, result, error);
  }
  result = driver->cuCtxGetCurrent(&ctx->cuda_context);
  if (result != CUDA_SUCCESS) {
    return udm_fail_driver(driver, UDM_ERROR_DRIVER, "cuCtxGetCurrent", NULL, result, error);
  }
  if (!ctx->cuda_context) {
    return udm_fail(error, UDM_ERROR_NO_CURRENT_CONTEXT,
                    "the calling thread has no current CUDA context: call cuCtxSetCurrent, or "
                    "anything of the CUDA runtime, before udm_create");
  }
  result = driver->cuCtxGetDevice(&device);
  if (result != CUDA_SUCCESS) {
    return udm_fail_driver(driver, UDM_ERROR_DRIVER, "cuCtxGetDevice", NULL, result, error);
  }
  int multiprocessors = 0;
  result = driver->cuDeviceGetAttribute(&multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
                                        device);
  if (result != CUDA_SUCCESS) {
    return udm_fail_driver(driver, UDM_ERROR_DRIVER, "cuDeviceGetAttribute",
                           "number of multiprocessors", result, error);
  }
  result = ask_id(driver, ctx->cuda_context, &ctx->cuda_context_id);
  if (result != CUDA_SUCCESS) {
    const char *call = driver->cuCtxGetId ? "cuCtxGetId" : "cuCtxGetApiVersion";
    return udm_fail_driver(driver, UDM_ERROR_DRIVER, call, NULL, result, error);
  }
  ctx->info.device = device;
  ctx->info.multiprocessor_count = multiprocessors;
  return udm_driver_device_arch(driver, device, &ctx->info.device_arch, error);
}

static udm_status load_image(udm_context *ctx, const struct image *image, struct error *error) {
  const struct driver *driver = &ctx->driver;
  udm_status status = udm_code_load(driver, image->bytes, image->is_ptx, &ctx->code, error);
  if (status != UDM_OK) return status;
  status =
      udm_code_function(driver, &ctx->code, "udm_decode_metadata_general", &ctx->general, error);
  /* the shipped PTX has the general kernel alone */
  if (status == UDM_OK) {
    status = udm_code_optional_function(driver, &ctx->code, "udm_decode_metadata_direct",
                                        &ctx->direct, error);
  }
  if (status != UDM_OK) udm_code_unload(driver, &ctx->code);
  return status;
}

static void describe_image(udm_context *ctx, const struct image *image) {
  ctx->info.struct_size = sizeof ctx->info;
  ctx->info.image_arch = image->arch;
  ctx->info.image_source = image->source;
  ctx->info.image_bytes = image->size;
  snprintf(ctx->image_detail, sizeof ctx->image_detail, "%s", image->origin);
  udm_image_producer_line(image->producer, ctx->image_producer);
  ctx->info.image_detail = ctx->image_detail;
  ctx->info.image_producer = ctx->image_producer;
  udm_count_image(ctx->info.device_arch, image->arch, udm_image_source_name(image->source),
                  ctx->image_producer);
}

/* Loads the best image that the driver can use. */
static udm_status resolve_image(const struct settings *settings, udm_context *ctx,
                                struct error *error) {
  struct image_search *search = NULL;
  udm_status status =
      udm_image_search_begin(settings, ctx->info.device_arch, &ctx->driver, &search, error);
  if (status != UDM_OK) return status;
  while ((status = udm_image_search_next(search, error)) == UDM_OK) {
    status = load_image(ctx, &search->image, &search->reason);
    if (status == UDM_OK) {
      udm_image_search_accept(search);
      describe_image(ctx, &search->image);
      break;
    }
    if (status != UDM_ERROR_NO_IMAGE) {
      udm_fail(error, status, "%s; the image came from %s", search->reason_text,
               search->image.origin);
      break;
    }
    udm_image_search_reject(search);
  }
  udm_image_search_end(search);
  return status;
}

/*
 * Code is loaded and unloaded with the capture mode of this thread relaxed: then a
 * capture of another stream, by any thread, neither forbids it nor is invalidated by
 * it. A driver before CUDA 10.1 has no such mode.
 */
static CUresult exchange_capture_mode(const struct driver *driver, CUstreamCaptureMode *mode) {
  if (!driver->cuThreadExchangeStreamCaptureMode) return CUDA_SUCCESS;
  return driver->cuThreadExchangeStreamCaptureMode(mode);
}

static udm_status resolve_during_capture(const struct settings *settings, udm_context *ctx,
                                         struct error *error) {
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  const CUresult result = exchange_capture_mode(&ctx->driver, &mode);
  if (result != CUDA_SUCCESS) {
    return udm_fail_driver(&ctx->driver, UDM_ERROR_DRIVER, "cuThreadExchangeStreamCaptureMode",
                           NULL, result, error);
  }
  const udm_status status = resolve_image(settings, ctx, error);
  exchange_capture_mode(&ctx->driver, &mode);
  return status;
}

udm_status udm_create(const udm_options *options, udm_context **out) {
  struct error *const error = udm_thread_error();
  struct settings settings;
  udm_context *ctx = NULL;
  if (!out) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "out is null");
  *out = NULL;
  udm_status status = udm_settings_resolve(options, &settings, error);
  if (status != UDM_OK) return status;
  ctx = udm_calloc(1, sizeof *ctx);
  if (!ctx) return udm_fail_memory(error, "the udm context", sizeof *ctx);

  ctx->process_number = udm_process_number;
  status = udm_fork_guard_install(error);
  if (status == UDM_OK) status = udm_driver_open(&settings, &ctx->driver, error);
  if (status == UDM_OK) status = find_device(ctx, error);
  if (status == UDM_OK) status = resolve_during_capture(&settings, ctx, error);
  if (status != UDM_OK) {
    udm_driver_close(&ctx->driver);
    udm_free(ctx);
    return status;
  }
  *out = ctx;
  return UDM_OK;
}

/*
 * Asked before the context is made current: a driver accepts a destroyed context there and crashes
 * later.
 */
static bool is_alive(const udm_context *ctx) {
  unsigned long long id = 0;
  return !udm_is_from_parent(ctx) && ask_id(&ctx->driver, ctx->cuda_context, &id) == CUDA_SUCCESS &&
         id == ctx->cuda_context_id;
}

/* Unloading a module needs its context to be current; unloading a library does not. */
void udm_destroy(udm_context *ctx) {
  CUcontext previous = NULL;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  if (!ctx) return;
  const struct driver *driver = &ctx->driver;
  const bool pushed =
      is_alive(ctx) && driver->cuCtxPushCurrent_v2(ctx->cuda_context) == CUDA_SUCCESS;
  if (pushed || (ctx->code.library && !udm_is_from_parent(ctx))) {
    const bool relaxed = exchange_capture_mode(driver, &mode) == CUDA_SUCCESS;
    udm_code_unload(driver, &ctx->code);
    if (relaxed) exchange_capture_mode(driver, &mode);
  }
  if (pushed) driver->cuCtxPopCurrent_v2(&previous);
  udm_driver_close(&ctx->driver);
  udm_free(ctx);
}

udm_status udm_get_context_info(const udm_context *ctx, udm_context_info *info) {
  struct error *const error = udm_thread_error();
  if (!ctx) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "ctx is null");
  const udm_status status =
      udm_check_struct("info", info, UDM_SIZE_UP_TO(udm_context_info, multiprocessor_count), error);
  if (status == UDM_OK) udm_fill_struct(info, &ctx->info, sizeof ctx->info);
  return status;
}
