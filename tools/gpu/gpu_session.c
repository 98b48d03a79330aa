/*
 * gpu_session.c: makes a GPU ready for a command: see gpu_session.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "gpu_session.h"

#include <stdio.h>
#include <string.h>

#include "command/interrupt.h"
#include "command/progress.h"

static bool find_device(struct gpu_session *session, const udm_options *options, int32_t ordinal,
                        char *error, size_t size) {
  udm_driver_info driver = {.struct_size = sizeof driver};
  udm_device_info device = {.struct_size = sizeof device};
  if (udm_query_driver(options, &driver) != UDM_OK) {
    snprintf(error, size, "%s", udm_last_error());
    return false;
  }
  if (driver.device_count == 0) {
    snprintf(error, size,
             "the driver %s finds no GPU: check nvidia-smi and CUDA_VISIBLE_DEVICES, or run on a "
             "machine that has one",
             driver.path);
    return false;
  }
  if (ordinal >= driver.device_count) {
    snprintf(error, size, "there is no GPU %d: --gpu takes 0 to %d here", ordinal,
             driver.device_count - 1);
    return false;
  }
  udm_status status = udm_query_device(options, ordinal, &device);
  if (status == UDM_OK) status = cuda_driver_open(options, &session->driver);
  if (status != UDM_OK) {
    const bool has_text = status != UDM_ERROR_DRIVER || *udm_last_error();
    snprintf(error, size, "%s", has_text ? udm_last_error() : "cuInit failed: try nvidia-smi");
    return false;
  }
  memcpy(session->name, device.name, sizeof session->name);
  return true;
}

static bool make_current(struct gpu_session *session, int32_t ordinal, char *error, size_t size) {
  const struct cuda_driver *driver = &session->driver;
  const char *call = "cuDeviceGet";
  CUresult result = driver->cuDeviceGet(&session->device, ordinal);
  if (result == CUDA_SUCCESS) {
    call = "cuDevicePrimaryCtxRetain";
    result = driver->cuDevicePrimaryCtxRetain(&session->context, session->device);
  }
  if (result == CUDA_SUCCESS) {
    call = "cuCtxSetCurrent";
    result = driver->cuCtxSetCurrent(session->context);
  }
  if (result == CUDA_SUCCESS) {
    call = "cuStreamCreate";
    result = driver->cuStreamCreate(&session->stream, CU_STREAM_NON_BLOCKING);
  }
  if (result == CUDA_SUCCESS) return true;
  snprintf(error, size, "GPU %d cannot be used: %s failed with %s", ordinal, call,
           cuda_driver_error(driver, result));
  return false;
}

/* Shows the wait for another process, and ends it at a signal. */
static int stop_or_show(void *user_data, udm_activity activity) {
  struct progress_bar *bar = user_data;
  if (activity == UDM_ACTIVITY_WAITING) {
    progress_update(bar, 0);
  } else {
    progress_wipe();
  }
  return interrupted();
}

static udm_status create(const udm_options *options, udm_context **udm) {
  struct progress_bar bar;
  udm_options own = UDM_OPTIONS_INIT;
  if (options) own = *options;
  own.should_stop = stop_or_show;
  own.should_stop_user_data = &bar;
  progress_start(&bar, "waiting for another process that compiles the kernel", 0);
  const udm_status status = udm_create(&own, udm);
  progress_finish(&bar);
  return status;
}

bool gpu_session_open_without_udm(struct gpu_session *session, const udm_options *options,
                                  int32_t ordinal, char *error, size_t error_size) {
  *session = (struct gpu_session){.info = UDM_CONTEXT_INFO_INIT};
  if (find_device(session, options, ordinal, error, error_size) &&
      make_current(session, ordinal, error, error_size)) {
    return true;
  }
  gpu_session_close(session);
  return false;
}

bool gpu_session_open(struct gpu_session *session, const udm_options *options, int32_t ordinal,
                      char *error, size_t error_size) {
  if (!gpu_session_open_without_udm(session, options, ordinal, error, error_size)) return false;
  if (create(options, &session->udm) == UDM_OK &&
      udm_get_context_info(session->udm, &session->info) == UDM_OK) {
    return true;
  }
  snprintf(error, error_size, "%s", udm_last_error());
  gpu_session_close(session);
  return false;
}

void gpu_session_close(struct gpu_session *session) {
  const struct cuda_driver *driver = &session->driver;
  udm_destroy(session->udm);
  if (session->stream) driver->cuStreamDestroy_v2(session->stream);
  if (session->context) {
    driver->cuCtxSetCurrent(NULL);
    driver->cuDevicePrimaryCtxRelease_v2(session->device);
  }
  *session = (struct gpu_session){.info = UDM_CONTEXT_INFO_INIT};
}
