/*
 * jit_log.h: what the driver's assembler says while it turns PTX into a cubin.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_JIT_LOG_H
#define UDM_RUNTIME_IMAGE_JIT_LOG_H

#include "driver/driver.h"

enum { JIT_LOG_OPTIONS = 4, JIT_LOG_SIZE = 1024 };

/* Options for a driver call, pointing into the log's own buffers: it must stay where it is. */
struct jit_log {
  CUjit_option options[JIT_LOG_OPTIONS];
  void *values[JIT_LOG_OPTIONS];
  char error[JIT_LOG_SIZE];
  char info[JIT_LOG_SIZE];
};

void udm_jit_log_init(struct jit_log *log);

/* As udm_fail_driver, with the log behind it. */
udm_status udm_jit_log_fail(const struct driver *driver, struct jit_log *log, const char *call,
                            const char *about, CUresult result);

#endif
