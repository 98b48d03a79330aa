/*
 * driver.h: the CUDA driver library, opened at run time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_DRIVER_DRIVER_H
#define UDM_RUNTIME_DRIVER_DRIVER_H

#include "core/settings.h"
#include "driver/driver_types.h"

struct driver {
  void *library;               /* NULL: the host provides the functions */
  struct symbol_provider host; /* used if library is NULL */
#define UDM_DRIVER_SYMBOL(requirement, name, version, parameters) CUresult(*name) parameters;
#include "driver_symbols.h"
};

/*
 * Opens the library that the settings name and resolves every symbol of the list: with
 * cuGetProcAddress if the driver has it, else with dlsym. The library stays mapped until the
 * process ends, even after udm_driver_close(): a driver with running threads cannot be unmapped.
 * Does not call cuInit.
 */
udm_status udm_driver_open(const struct settings *settings, struct driver *driver,
                           struct error *error);
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
