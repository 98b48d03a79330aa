/*
 * driver.h: the CUDA driver library, opened at run time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_DRIVER_DRIVER_H
#define UDM_RUNTIME_DRIVER_DRIVER_H

#include "core/settings.h"
#include "cuda/cuda_driver.h"

/*
 * The functions that the library uses. REQUIRED: without it the driver cannot
 * be used. OPTIONAL: NULL if the driver lacks it; the caller checks.
 * cuGetProcAddress comes first: the others are looked up through it.
 */
#define UDM_DRIVER_SYMBOLS(X)                    \
  X(OPTIONAL, cuGetProcAddress_v2)               \
  X(OPTIONAL, cuGetProcAddress)                  \
  X(REQUIRED, cuInit)                            \
  X(REQUIRED, cuDriverGetVersion)                \
  X(OPTIONAL, cuGetErrorName)                    \
  X(OPTIONAL, cuGetErrorString)                  \
  X(REQUIRED, cuDeviceGetCount)                  \
  X(REQUIRED, cuDeviceGet)                       \
  X(REQUIRED, cuDeviceGetName)                   \
  X(REQUIRED, cuDeviceTotalMem_v2)               \
  X(REQUIRED, cuDeviceGetAttribute)              \
  X(REQUIRED, cuCtxGetCurrent)                   \
  X(REQUIRED, cuCtxGetDevice)                    \
  X(OPTIONAL, cuCtxGetApiVersion)                \
  X(OPTIONAL, cuCtxGetId)                        \
  X(REQUIRED, cuCtxPushCurrent_v2)               \
  X(REQUIRED, cuCtxPopCurrent_v2)                \
  X(OPTIONAL, cuThreadExchangeStreamCaptureMode) \
  X(REQUIRED, cuModuleLoadDataEx)                \
  X(REQUIRED, cuModuleUnload)                    \
  X(REQUIRED, cuModuleGetFunction)               \
  X(OPTIONAL, cuLibraryLoadData)                 \
  X(OPTIONAL, cuLibraryUnload)                   \
  X(OPTIONAL, cuLibraryGetKernel)                \
  X(OPTIONAL, cuKernelGetFunction)               \
  X(OPTIONAL, cuFuncLoad)                        \
  X(OPTIONAL, cuLinkCreate_v2)                   \
  X(OPTIONAL, cuLinkAddData_v2)                  \
  X(OPTIONAL, cuLinkComplete)                    \
  X(OPTIONAL, cuLinkDestroy)                     \
  X(REQUIRED, cuLaunchKernel)

struct driver {
  void *library;               /* NULL: the host provides the functions */
  struct symbol_provider host; /* used if library is NULL */
#define UDM_DRIVER_POINTER(requirement, name) name##_function *name;
  UDM_DRIVER_SYMBOLS(UDM_DRIVER_POINTER)
#undef UDM_DRIVER_POINTER
};

/*
 * Opens the library that the settings name and resolves every symbol of the list: with
 * cuGetProcAddress if the driver has it, else with dlsym. The library stays mapped until the
 * process ends, even after udm_driver_close(): a driver with running threads cannot be unmapped.
 * Does not call cuInit.
 */
udm_status udm_driver_open(const struct settings *settings, struct driver *driver,
                           struct error *error);
/* The file of the library; "" if it is not known. */
void udm_driver_library_path(const struct driver *driver, char path[UDM_PATH_SIZE]);

void udm_driver_close(struct driver *driver);

/* The name that was passed to dlopen. */
const char *udm_driver_library_name(const struct settings *settings);

/*
 * Reports a failed driver call: its name, what it was about (or NULL), the driver's name and text
 * of the error, and what to do about it if that is known.
 */
udm_status udm_fail_driver(const struct driver *driver, udm_status status, const char *call,
                           const char *about, CUresult result, struct error *error);

/* Sets *arch to 10 * major + minor of the device's compute capability. */
udm_status udm_driver_device_arch(const struct driver *driver, CUdevice device, int32_t *arch,
                                  struct error *error);

#endif
