/*
 * jit_log.c: hands the driver's assembler its log buffers, and words its errors.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/jit_log.h"

#include <stdint.h>
#include <string.h>

#include "core/status.h"
#include "image/loader.h"

void udm_jit_log_init(struct jit_log *log) {
  memset(log, 0, sizeof *log);
  log->options[0] = CU_JIT_ERROR_LOG_BUFFER;
  log->values[0] = log->error;
  log->options[1] = CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES;
  log->values[1] = (void *)(uintptr_t)(JIT_LOG_SIZE - 1); /* the last byte stays 0 */
  log->options[2] = CU_JIT_INFO_LOG_BUFFER;
  log->values[2] = log->info;
  log->options[3] = CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES;
  log->values[3] = (void *)(uintptr_t)(JIT_LOG_SIZE - 1);
}

udm_status udm_jit_log_fail(const struct driver *driver, struct jit_log *log, const char *call,
                            const char *about, CUresult result) {
  const udm_status status =
      udm_fail_driver(driver, udm_status_of_loading(result), call, about, result);
  log->error[JIT_LOG_SIZE - 1] = '\0';
  log->info[JIT_LOG_SIZE - 1] = '\0';
  if (!log->error[0] && !log->info[0]) return status;
  return udm_fail(status, "%s\n%s%s%s", udm_last_error(), log->error,
                  log->error[0] && log->info[0] ? "\n" : "", log->info);
}
