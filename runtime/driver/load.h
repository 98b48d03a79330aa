/*
 * load.h: loads a kernel image into the current CUDA context, and assembles PTX
 * into a cubin.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_DRIVER_LOAD_H
#define UDM_RUNTIME_DRIVER_LOAD_H

#include <stdbool.h>

#include "driver/driver.h"

/* One of the two is set while an image is loaded. */
struct loaded_code {
  CUmodule module;
  CUlibrary library;
};

/*
 * Loads an image: a cubin or, with is_ptx, PTX as 0-terminated text. Returns
 * NO_IMAGE if this driver cannot use the image; CAPTURE if it loads nothing while a
 * stream is captured; DRIVER if it failed for a reason that the next image would
 * meet too.
 */
udm_status udm_code_load(const struct driver *driver, const void *image, bool is_ptx,
                         struct loaded_code *code, struct error *error);

/* Finds a function of the code, ready to launch. Statuses: those of udm_code_load(). */
udm_status udm_code_function(const struct driver *driver, const struct loaded_code *code,
                             const char *name, CUfunction *function, struct error *error);

/* The same, but *function is NULL if the code has no function of this name. */
udm_status udm_code_optional_function(const struct driver *driver, const struct loaded_code *code,
                                      const char *name, CUfunction *function, struct error *error);

/* The context into which the code was loaded must be current. */
void udm_code_unload(const struct driver *driver, struct loaded_code *code);

/* True if this driver can return the cubin that it assembles. */
bool udm_can_assemble(const struct driver *driver);

/*
 * Assembles PTX, 0-terminated, for the device of the current context. The caller
 * frees *cubin with udm_free(). NO_IMAGE carries the assembler's log; the other
 * statuses are those of udm_code_load().
 */
udm_status udm_assemble(const struct driver *driver, const char *ptx, const char *origin,
                        unsigned char **cubin, size_t *size, struct error *error);

#endif
