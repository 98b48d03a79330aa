/*
 * cuda_driver.c: the CUDA driver as the tools and the tests see it: see cuda_driver.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cuda_driver.h"

#include <stdio.h>
#include <string.h>

struct symbol {
  const char *name;
  size_t offset;
};

static const struct symbol symbols[] = {
#define SYMBOL(name) {#name, offsetof(struct cuda_driver, name)},
    CUDA_DRIVER_SYMBOLS(SYMBOL)
#undef SYMBOL
};

udm_status cuda_driver_open(const udm_options *options, struct cuda_driver *driver) {
  memset(driver, 0, sizeof *driver);
  struct cuda_driver found;
  for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; ++i) {
    void *address = NULL;
    const udm_status status = udm_driver_symbol(options, symbols[i].name, &address);
    if (status != UDM_OK) return status;
    memcpy((char *)&found + symbols[i].offset, &address, sizeof address);
  }
  if (found.cuInit(0) != CUDA_SUCCESS) return UDM_ERROR_DRIVER;
  *driver = found;
  return UDM_OK;
}

const char *cuda_driver_error(const struct cuda_driver *driver, CUresult result) {
  static _Thread_local char text[256];
  const char *name = NULL;
  const char *meaning = NULL;
  driver->cuGetErrorName(result, &name);
  driver->cuGetErrorString(result, &meaning);
  snprintf(text, sizeof text, "%s (%d: %s)", name ? name : "CUDA error", (int)result,
           meaning ? meaning : "unknown");
  return text;
}
