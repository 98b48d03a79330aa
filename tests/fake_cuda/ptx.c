/*
 * ptx.c: the assembler of the fake driver, and links: PTX goes in, a cubin comes out, which the
 * link owns.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
  char comment[TINY_CUBIN_TEXT];
  snprintf(comment, sizeof comment, "fake driver %d.%d", driver / 1000, driver % 1000 / 10);
  *cubin = tiny_cubin_make(driver >= 13000 ? 8 : 7, arch, kernels, comment);
  return CUDA_SUCCESS;
}

struct CUlinkState_st {
  struct handle handle;
  struct jit_log log;
  bool has_cubin;
  struct tiny_cubin cubin;
};

static void destroy_link(struct handle *object) { free(object); }

static CUresult check_link(CUlinkState link) {
  return handle_is_live(link, HANDLE_LINK) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuLinkCreate_v2(unsigned int option_count, CUjit_option *options, void **option_values,
                         CUlinkState *link) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS && option_count > 0 && (!options || !option_values)) {
    result = CUDA_ERROR_INVALID_VALUE;
  }
  if (result == CUDA_SUCCESS) {
    CUlinkState created = calloc(1, sizeof *created);
    if (created) {
      handle_register(&created->handle, HANDLE_LINK, context_current(), destroy_link);
      created->log = jit_log_of(option_count, options, option_values);
      *link = created;
    } else {
      result = CUDA_ERROR_OUT_OF_MEMORY;
    }
  }
  return fake_cuda_leave(result);
}

CUresult cuLinkAddData_v2(CUlinkState link, CUjitInputType type, void *data, size_t size,
                          const char *name, unsigned int option_count, CUjit_option *options,
                          void **option_values) {
  (void)name;
  (void)options;
  (void)option_values;
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS) result = check_link(link);
  const char *text = data;
  if (result == CUDA_SUCCESS && ((int)type != CU_JIT_INPUT_PTX || option_count != 0 || !text ||
                                 size == 0 || text[size - 1] != '\0')) {
    result = CUDA_ERROR_INVALID_VALUE;
  }
  if (result == CUDA_SUCCESS) result = ptx_assemble(text, &link->cubin, &link->log);
  if (result == CUDA_SUCCESS) link->has_cubin = true;
  return fake_cuda_leave(result);
}

CUresult cuLinkComplete(CUlinkState link, void **cubin, size_t *size) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS) result = check_link(link);
  if (result == CUDA_SUCCESS && !link->has_cubin) result = CUDA_ERROR_INVALID_VALUE;
  if (result == CUDA_SUCCESS) {
    *cubin = &link->cubin;
    *size = sizeof link->cubin;
  }
  return fake_cuda_leave(result);
}

CUresult cuLinkDestroy(CUlinkState link) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS) result = check_link(link);
  if (result == CUDA_SUCCESS) handle_destroy(&link->handle);
  return fake_cuda_leave(result);
}
