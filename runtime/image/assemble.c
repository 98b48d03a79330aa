/*
 * assemble.c: the driver's linker, used as an assembler of PTX.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/assemble.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/allocator.h"
#include "core/status.h"
#include "image/jit_log.h"

bool udm_can_assemble(const struct driver *driver) {
  return driver->cuLinkCreate_v2 && driver->cuLinkAddData_v2 && driver->cuLinkComplete &&
         driver->cuLinkDestroy;
}

/* The cubin is the link's own until it is copied. */
static udm_status link_ptx(const struct driver *driver, CUlinkState link, struct jit_log *log,
                           const char *ptx, const char *origin, unsigned char **cubin,
                           size_t *size) {
  void *made = NULL;
  size_t made_size = 0;
  void *data = (void *)(uintptr_t)ptx; /* the driver only reads it */
  CUresult result = driver->cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, data, strlen(ptx) + 1,
                                             "decode_metadata.ptx", 0, NULL, NULL);
  if (result != CUDA_SUCCESS) {
    return udm_jit_log_fail(driver, log, "cuLinkAddData", origin, result);
  }
  result = driver->cuLinkComplete(link, &made, &made_size);
  if (result != CUDA_SUCCESS) {
    return udm_jit_log_fail(driver, log, "cuLinkComplete", origin, result);
  }
  *cubin = udm_malloc(made_size);
  if (!*cubin) return udm_fail_memory("the assembled cubin", made_size);
  memcpy(*cubin, made, made_size);
  *size = made_size;
  return UDM_OK;
}

udm_status udm_assemble(const struct driver *driver, const char *ptx, const char *origin,
                        unsigned char **cubin, size_t *size) {
  struct jit_log log;
  CUlinkState link = NULL;
  udm_jit_log_init(&log);
  const CUresult result = driver->cuLinkCreate_v2(JIT_LOG_OPTIONS, log.options, log.values, &link);
  if (result != CUDA_SUCCESS) {
    return udm_jit_log_fail(driver, &log, "cuLinkCreate", origin, result);
  }
  const udm_status status = link_ptx(driver, link, &log, ptx, origin, cubin, size);
  driver->cuLinkDestroy(link);
  return status;
}
