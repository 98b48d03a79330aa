/*
 * Devices: UDM_FAKE_CUDA_DEVICES="9.0,8.6" makes two of those compute
 * capabilities, "" none; the default is one 9.0. UDM_FAKE_CUDA_NAME is what they
 * are called. Read by the first cuInit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

#ifndef FAKE_CUDA_VERSION
#define FAKE_CUDA_VERSION 13000
#endif

static struct device devices[MAX_DEVICES];
static int device_count;
static bool initialised;

bool devices_are_initialised(void) { return initialised; }

struct device *device_get(CUdevice ordinal) {
  return ordinal >= 0 && ordinal < device_count ? &devices[ordinal] : NULL;
}

int devices_driver_version(void) {
  const char *text = getenv("UDM_FAKE_CUDA_VERSION");
  return text ? atoi(text) : FAKE_CUDA_VERSION;
}

static void read_devices(void) {
  const char *rest = getenv("UDM_FAKE_CUDA_DEVICES");
  const char *name = getenv("UDM_FAKE_CUDA_NAME");
  if (!rest) rest = "9.0";
  device_count = 0;
  while (device_count < MAX_DEVICES) {
    int length = 0;
    struct device *d = &devices[device_count];
    if (sscanf(rest, "%d.%d%n", &d->major, &d->minor, &length) != 2) break;
    snprintf(d->name, sizeof d->name, "Fake GPU sm_%d%d", d->major, d->minor);
    if (name) snprintf(d->name, sizeof d->name, "%s", name);
    ++device_count;
    rest += length;
    if (*rest == ',') ++rest;
  }
}

CUresult cuInit(unsigned int flags) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_NOTHING);
  if (result == CUDA_SUCCESS && flags != 0) result = CUDA_ERROR_INVALID_VALUE;
  if (result == CUDA_SUCCESS && !initialised) {
    read_devices();
    initialised = device_count > 0;
    if (!initialised) result = CUDA_ERROR_NO_DEVICE;
  }
  return fake_cuda_leave(result);
}

CUresult cuDriverGetVersion(int *version) {
  const CUresult result = fake_cuda_enter(__func__, NEEDS_NOTHING);
  if (result == CUDA_SUCCESS) *version = devices_driver_version();
  return fake_cuda_leave(result);
}

CUresult cuDeviceGetCount(int *count) {
  const CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS) *count = device_count;
  return fake_cuda_leave(result);
}

CUresult cuDeviceGet(CUdevice *ordinal, int number) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && !device_get(number)) result = CUDA_ERROR_INVALID_DEVICE;
  if (result == CUDA_SUCCESS) *ordinal = number;
  return fake_cuda_leave(result);
}

CUresult cuDeviceGetName(char *name, int size, CUdevice ordinal) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && !device_get(ordinal)) result = CUDA_ERROR_INVALID_DEVICE;
  if (result == CUDA_SUCCESS && (!name || size <= 0)) result = CUDA_ERROR_INVALID_VALUE;
  if (result == CUDA_SUCCESS) snprintf(name, (size_t)size, "%s", device_get(ordinal)->name);
  return fake_cuda_leave(result);
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice ordinal) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS && !device_get(ordinal)) result = CUDA_ERROR_INVALID_DEVICE;
  if (result == CUDA_SUCCESS) *bytes = DEVICE_MEMORY_BYTES;
  return fake_cuda_leave(result);
}

static CUresult get_attribute(int *value, CUdevice_attribute attribute, const struct device *d) {
  if (!d) return CUDA_ERROR_INVALID_DEVICE;
  switch ((int)attribute) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *value = 1024;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      *value = L2_CACHE_BYTES;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *value = MULTIPROCESSORS;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = d->major;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *value = d->minor;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice ordinal) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS) result = get_attribute(value, attribute, device_get(ordinal));
  return fake_cuda_leave(result);
}
