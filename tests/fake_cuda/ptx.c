/*
 * The assembler of the fake driver.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ptx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contexts.h"
#include "devices.h"

struct jit_log jit_log_of(unsigned int option_count, const CUjit_option *options,
                          void *const *values) {
  struct jit_log log = {NULL, 0};
  for (unsigned int i = 0; i < option_count; ++i) {
    if ((int)options[i] == CU_JIT_ERROR_LOG_BUFFER) log.text = values[i];
    if ((int)options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) log.size = (uintptr_t)values[i];
  }
  return log;
}

static void write_log(const struct jit_log *log, const char *format, int a, int b) {
  char text[160];
  snprintf(text, sizeof text, format, a, b);
  if (log->text && log->size > 0) snprintf(log->text, log->size, "%s", text);
}

/* The directive at the start of a line. */
static const char *find_directive(const char *ptx, const char *directive) {
  const size_t length = strlen(directive);
  for (const char *line = ptx; line; line = strchr(line, '\n')) {
    if (*line == '\n') ++line;
    if (strncmp(line, directive, length) == 0) return line + length;
  }
  return NULL;
}

bool ptx_is_ptx(const char *text) {
  return memcmp(text, "\177ELF", 4) != 0 && find_directive(text, ".version ") != NULL;
}

enum { NAME_SIZE = 64 };

static void find_kernels(const char *ptx, char names[TINY_CUBIN_KERNELS][NAME_SIZE],
                         const char *kernels[TINY_CUBIN_KERNELS]) {
  static const char mark[] = ".visible .entry ";
  int count = 0;
  for (const char *at = strstr(ptx, mark); at && count < TINY_CUBIN_KERNELS;
       at = strstr(at, mark)) {
    at += strlen(mark);
    if (sscanf(at, "%63[^( \n]", names[count]) == 1) {
      kernels[count] = names[count];
      ++count;
    }
  }
}

CUresult ptx_assemble(const char *ptx, struct tiny_cubin *cubin, const struct jit_log *log) {
  int major = 0;
  int minor = 0;
  int target = 0;
  char names[TINY_CUBIN_KERNELS][NAME_SIZE];
  const char *kernels[TINY_CUBIN_KERNELS] = {NULL};
  const struct device *d = device_get(context_current()->device);
  const int arch = 10 * d->major + d->minor;
  const int driver = devices_driver_version();
  const char *version_at = ptx_is_ptx(ptx) ? find_directive(ptx, ".version ") : NULL;
  const char *target_at = version_at ? find_directive(ptx, ".target sm_") : NULL;
  if (!target_at || sscanf(version_at, "%d.%d", &major, &minor) != 2 ||
      sscanf(target_at, "%d", &target) != 1) {
    write_log(log, "ptxas fatal: no version and no target", 0, 0);
    return CUDA_ERROR_INVALID_PTX;
  }
  /* CUDA 13.0 brought PTX 9.0, 12.x about 8.x, 11.8 7.8 */
  if (10 * major + minor > 10 * (driver / 1000 - 4) + driver % 1000 / 10) {
    write_log(log, "ptxas fatal: unsupported .version %d.%d", major, minor);
    return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
  }
  if (target > arch) {
    write_log(log, "ptxas fatal: SM version %d specified by .target is higher than %d", target,
              arch);
    return CUDA_ERROR_INVALID_PTX;
  }
  find_kernels(ptx, names, kernels);
  *cubin = tiny_cubin_make(driver >= 13000 ? 8 : 7, arch, kernels, "assembled by the fake");
  return CUDA_SUCCESS;
}
