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
  void *library;               /* NULL: its functions are the host's */
  struct symbol_provider host; /* asked in that case */
#define UDM_DRIVER_SYMBOL(requirement, name, version, parameters) CUresult(*name) parameters;
#include "driver_symbols.h"
};

/*
 * Opens the library that the settings name and resolves every symbol of the
 * list, by cuGetProcAddress where the driver has it, else by dlsym. The library stays mapped until
 * the process ends, whatever is closed: a driver with live threads cannot be unmapped. Does not
 * call cuInit.
 */
udm_status udm_driver_open(const struct settings *settings, struct driver *driver,
                           struct error *error);
void udm_driver_close(struct driver *driver);

/* The name under which it was asked for. */
const char *udm_driver_library_name(const struct settings *settings);

/*
 * The failure of a driver call: its name, what it was about (or NULL), the
 * driver's name and text of the error, and the cure where the error has one.
 */
udm_status udm_fail_driver(const struct driver *driver, udm_status status, const char *call,
                           const char *about, CUresult result, struct error *error);

/* 10 * compute capability major + minor of a device. */
udm_status udm_driver_device_arch(const struct driver *driver, CUdevice device, int32_t *arch,
                                  struct error *error);

#endif
