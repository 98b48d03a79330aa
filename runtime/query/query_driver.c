/*
 * query_driver.c: the public functions that describe the driver and the devices.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include "core/status.h"
#include "core/struct_size.h"
#include "driver/driver.h"

static udm_status open_driver(const udm_options *options, struct settings *settings,
                              struct driver *driver, struct error *error) {
  const udm_status status = udm_settings_resolve(options, settings, error);
  return status == UDM_OK ? udm_driver_open(settings, driver, error) : status;
}

static udm_status query_driver(const udm_options *options, udm_driver_info *info,
                               struct error *error) {
  struct driver driver;
  struct settings settings;
  int version = 0;
  int count = 0;
  udm_status status = open_driver(options, &settings, &driver, error);
  if (status != UDM_OK) return status;

  CUresult result = driver.cuDriverGetVersion(&version);
  if (result != CUDA_SUCCESS) {
    status = udm_fail_driver(&driver, UDM_ERROR_DRIVER, "cuDriverGetVersion", NULL, result, error);
    goto done;
  }
  const char *call = "cuInit";
  result = driver.cuInit(0);
  if (result == CUDA_SUCCESS) {
    call = "cuDeviceGetCount";
    result = driver.cuDeviceGetCount(&count);
  }
  if (result != CUDA_SUCCESS && result != CUDA_ERROR_NO_DEVICE) {
    status = udm_fail_driver(&driver, UDM_ERROR_DRIVER, call, NULL, result, error);
    goto done;
  }
  info->version = version;
  info->device_count = count;
  udm_driver_library_path(&driver, info->path);

done:
  udm_driver_close(&driver);
  return status;
}

udm_status udm_query_driver(const udm_options *options, udm_driver_info *info) {
  struct error *const error = udm_thread_error();
  udm_driver_info full = {.struct_size = sizeof full};
  udm_status status = udm_check_struct("info", info, UDM_SIZE_UP_TO(udm_driver_info, path), error);
  if (status == UDM_OK) status = query_driver(options, &full, error);
  if (status == UDM_OK) udm_fill_struct(info, &full, sizeof full);
  return status;
}

static udm_status describe_device(const struct driver *driver, CUdevice device,
                                  udm_device_info *info, struct error *error) {
  const char *call = "cuDeviceGetAttribute";
  int multiprocessors = 0;
  size_t bytes = 0;
  int32_t arch = 0;
  char name[sizeof info->name] = "";
  CUresult result = driver->cuDeviceGetAttribute(&multiprocessors,
                                                 CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device);
  if (result == CUDA_SUCCESS) {
    call = "cuDeviceTotalMem";
    result = driver->cuDeviceTotalMem_v2(&bytes, device);
  }
  if (result == CUDA_SUCCESS) {
    call = "cuDeviceGetName";
    result = driver->cuDeviceGetName(name, sizeof name, device);
  }
  if (result != CUDA_SUCCESS) {
    return udm_fail_driver(driver, UDM_ERROR_DRIVER, call, NULL, result, error);
  }
  const udm_status status = udm_driver_device_arch(driver, device, &arch, error);
  if (status != UDM_OK) return status;
  info->arch = arch;
  info->multiprocessor_count = multiprocessors;
  info->memory_bytes = bytes;
  memcpy(info->name, name, sizeof info->name);
  return UDM_OK;
}

static udm_status query_device(const udm_options *options, int32_t ordinal, udm_device_info *info,
                               struct error *error) {
  struct driver driver;
  struct settings settings;
  CUdevice device = 0;
  udm_status status = open_driver(options, &settings, &driver, error);
  if (status != UDM_OK) return status;

  const char *call = "cuInit";
  CUresult result = driver.cuInit(0);
  if (result == CUDA_SUCCESS) {
    call = "cuDeviceGet";
    result = driver.cuDeviceGet(&device, ordinal);
  }
  if (result == CUDA_ERROR_NO_DEVICE || result == CUDA_ERROR_INVALID_DEVICE) {
    status = udm_fail(error, UDM_ERROR_NO_DEVICE,
                      "there is no CUDA device %d; udm_query_driver tells how many there are",
                      (int)ordinal);
  } else if (result != CUDA_SUCCESS) {
    status = udm_fail_driver(&driver, UDM_ERROR_DRIVER, call, NULL, result, error);
  } else {
    status = describe_device(&driver, device, info, error);
  }
  udm_driver_close(&driver);
  return status;
}

udm_status udm_query_device(const udm_options *options, int32_t ordinal, udm_device_info *info) {
  struct error *const error = udm_thread_error();
  udm_device_info full = {.struct_size = sizeof full};
  udm_status status = udm_check_struct("info", info, UDM_SIZE_UP_TO(udm_device_info, name), error);
  if (status == UDM_OK) status = query_device(options, ordinal, &full, error);
  if (status == UDM_OK) udm_fill_struct(info, &full, sizeof full);
  return status;
}

static bool is_of_library(void *address, void *library) {
  struct link_map *map = NULL;
  Dl_info ours;
  Dl_info theirs;
  return dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && dladdr(map->l_ld, &theirs) != 0 &&
         dladdr(address, &ours) != 0 && ours.dli_fbase == theirs.dli_fbase;
}

udm_status udm_driver_symbol(const udm_options *options, const char *name, void **symbol) {
  struct error *const error = udm_thread_error();
  struct driver driver;
  struct settings settings;
  if (!name) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "name is null");
  if (!symbol) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "symbol is null");
  udm_status status = open_driver(options, &settings, &driver, error);
  if (status != UDM_OK) return status;
  void *address = udm_symbol(driver.library, &driver.host, UDM_LIBRARY_DRIVER, name);
  /* dlsym also searches the libraries that the driver depends on */
  if (address && (!driver.library || is_of_library(address, driver.library))) {
    *symbol = address;
  } else {
    status = udm_fail(error, UDM_ERROR_NOT_FOUND, "the driver library has no %s", name);
  }
  udm_driver_close(&driver);
  return status;
}
