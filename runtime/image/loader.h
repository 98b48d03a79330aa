/*
 * loader.h: a kernel image in the current CUDA context, and its functions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_LOADER_H
#define UDM_RUNTIME_IMAGE_LOADER_H

#include "driver/driver.h"
#include "image/image.h"

/* One of the two is set once an image is loaded. */
struct loaded_code {
  CUmodule module;
  CUlibrary library;
};

/*
 * Loads an image. NO_IMAGE: the driver has no use for it. CAPTURE: it loads
 * nothing while a stream is captured. DRIVER: it failed for another reason.
 */
udm_status udm_code_load(const struct driver *driver, const struct image *image,
                         struct loaded_code *code);

/* A function of the code, in the current context, ready to launch. Statuses: those of loading. */
udm_status udm_code_function(const struct driver *driver, const struct loaded_code *code,
                             const char *name, CUfunction *function);

/* The context into which it was loaded must be current. */
void udm_code_unload(const struct driver *driver, struct loaded_code *code);

/* The status of an error of a call that loads or assembles an image. */
udm_status udm_status_of_loading(CUresult result);

#endif
