/*
 * load.c: the one place that decides how an image is loaded, and the driver's
 * linker as an assembler of PTX.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver/load.h"

#include <stdint.h>
#include <string.h>

#include "core/allocator.h"

/*
 * cuLibraryLoadData if the driver has it, else cuModuleLoadDataEx. Change this line
 * to change the preference; docs/PERFORMANCE.md says what was measured.
 */
enum { PREFER_LIBRARIES = 1 };

static bool loads_libraries(const struct driver *driver) {
  return PREFER_LIBRARIES && driver->cuLibraryLoadData && driver->cuLibraryUnload &&
         driver->cuLibraryGetKernel && driver->cuKernelGetFunction;
}

/* NO_IMAGE for errors that concern the image: any other error would meet the next image too. */
static udm_status status_of_loading(CUresult result) {
  switch (result) {
    case CUDA_SUCCESS:
      return UDM_OK;
    case CUDA_ERROR_INVALID_IMAGE:
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_INVALID_PTX:
    case CUDA_ERROR_JIT_COMPILER_NOT_FOUND:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
    case CUDA_ERROR_JIT_COMPILATION_DISABLED:
    case CUDA_ERROR_INVALID_SOURCE:
    case CUDA_ERROR_NOT_FOUND:
      return UDM_ERROR_NO_IMAGE;
    case CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED:
    case CUDA_ERROR_STREAM_CAPTURE_INVALIDATED:
    case CUDA_ERROR_STREAM_CAPTURE_IMPLICIT:
    case CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD:
      return UDM_ERROR_CAPTURE;
    default:
      return UDM_ERROR_DRIVER;
  }
}

/* Each log of the assembler, errors and information, gets this many bytes. */
enum { JIT_LOG_OPTIONS = 4, JIT_LOG_SIZE = 1024 };

/* The options of a driver call that assembles. They point to the logs: the struct must not move. */
struct jit_log {
  CUjit_option options[JIT_LOG_OPTIONS];
  void *values[JIT_LOG_OPTIONS];
  char error[JIT_LOG_SIZE];
  char info[JIT_LOG_SIZE];
};

static void jit_log_init(struct jit_log *log) {
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

/* Like udm_fail_driver(), with the assembler's log after the message. */
static udm_status fail_with_log(const struct driver *driver, struct jit_log *log, const char *call,
                                const char *about, CUresult result, struct error *error) {
  const udm_status status =
      udm_fail_driver(driver, status_of_loading(result), call, about, result, error);
  log->error[JIT_LOG_SIZE - 1] = '\0';
  log->info[JIT_LOG_SIZE - 1] = '\0';
  if (log->error[0] || log->info[0]) {
    udm_extend_error(error, "\n%s%s%s", log->error, log->error[0] && log->info[0] ? "\n" : "",
                     log->info);
  }
  return status;
}

/* Assembles and loads PTX in one call, for a driver without a linker. */
static udm_status load_ptx(const struct driver *driver, const void *ptx, struct loaded_code *code,
                           struct error *error) {
  struct jit_log log;
  jit_log_init(&log);
  const CUresult result =
      driver->cuModuleLoadDataEx(&code->module, ptx, JIT_LOG_OPTIONS, log.options, log.values);
  if (result == CUDA_SUCCESS) return UDM_OK;
  code->module = NULL;
  return fail_with_log(driver, &log, "cuModuleLoadDataEx", NULL, result, error);
}

udm_status udm_code_load(const struct driver *driver, const void *image, bool is_ptx,
                         struct loaded_code *code, struct error *error) {
  CUresult result = CUDA_SUCCESS;
  const char *call = "cuModuleLoadDataEx";
  code->module = NULL;
  code->library = NULL;
  if (is_ptx) return load_ptx(driver, image, code, error);
  if (loads_libraries(driver)) {
    call = "cuLibraryLoadData";
    result = driver->cuLibraryLoadData(&code->library, image, NULL, NULL, 0, NULL, NULL, 0);
  } else {
    result = driver->cuModuleLoadDataEx(&code->module, image, 0, NULL, NULL);
  }
  if (result == CUDA_SUCCESS) return UDM_OK;
  code->module = NULL;
  code->library = NULL;
  return udm_fail_driver(driver, status_of_loading(result), call, NULL, result, error);
}

static CUresult find_function(const struct driver *driver, const struct loaded_code *code,
                              const char *name, CUfunction *function, const char **call) {
  *call = "cuModuleGetFunction";
  if (!code->library) return driver->cuModuleGetFunction(function, code->module, name);
  CUkernel kernel = NULL;
  *call = "cuLibraryGetKernel";
  const CUresult result = driver->cuLibraryGetKernel(&kernel, code->library, name);
  if (result != CUDA_SUCCESS) return result;
  *call = "cuKernelGetFunction";
  return driver->cuKernelGetFunction(function, kernel);
}

static udm_status get_function(const struct driver *driver, const struct loaded_code *code,
                               const char *name, bool optional, CUfunction *function,
                               struct error *error) {
  const char *call = NULL;
  CUresult result = find_function(driver, code, name, function, &call);
  if (optional && result == CUDA_ERROR_NOT_FOUND) {
    *function = NULL;
    return UDM_OK;
  }
  if (result == CUDA_SUCCESS && driver->cuFuncLoad) {
    call = "cuFuncLoad";
    result = driver->cuFuncLoad(*function);
  }
  if (result == CUDA_SUCCESS) return UDM_OK;
  return udm_fail_driver(driver, status_of_loading(result), call, name, result, error);
}

udm_status udm_code_function(const struct driver *driver, const struct loaded_code *code,
                             const char *name, CUfunction *function, struct error *error) {
  return get_function(driver, code, name, false, function, error);
}

udm_status udm_code_optional_function(const struct driver *driver, const struct loaded_code *code,
                                      const char *name, CUfunction *function, struct error *error) {
  return get_function(driver, code, name, true, function, error);
}

void udm_code_unload(const struct driver *driver, struct loaded_code *code) {
  if (code->library) driver->cuLibraryUnload(code->library);
  if (code->module) driver->cuModuleUnload(code->module);
  code->library = NULL;
  code->module = NULL;
}

bool udm_can_assemble(const struct driver *driver) {
  return driver->cuLinkCreate_v2 && driver->cuLinkAddData_v2 && driver->cuLinkComplete &&
         driver->cuLinkDestroy;
}

/* The cubin belongs to the link, so it is copied. */
static udm_status link_ptx(const struct driver *driver, CUlinkState link, struct jit_log *log,
                           const char *ptx, const char *origin, unsigned char **cubin, size_t *size,
                           struct error *error) {
  void *made = NULL;
  size_t made_size = 0;
  void *data = (void *)(uintptr_t)ptx; /* the driver only reads it */
  CUresult result = driver->cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, data, strlen(ptx) + 1,
                                             "decode_metadata.ptx", 0, NULL, NULL);
  if (result != CUDA_SUCCESS) {
    return fail_with_log(driver, log, "cuLinkAddData", origin, result, error);
  }
  result = driver->cuLinkComplete(link, &made, &made_size);
  if (result != CUDA_SUCCESS) {
    return fail_with_log(driver, log, "cuLinkComplete", origin, result, error);
  }
  *cubin = udm_malloc(made_size);
  if (!*cubin) return udm_fail_memory(error, "the assembled cubin", made_size);
  memcpy(*cubin, made, made_size);
  *size = made_size;
  return UDM_OK;
}

udm_status udm_assemble(const struct driver *driver, const char *ptx, const char *origin,
                        unsigned char **cubin, size_t *size, struct error *error) {
  struct jit_log log;
  CUlinkState link = NULL;
  jit_log_init(&log);
  const CUresult result = driver->cuLinkCreate_v2(JIT_LOG_OPTIONS, log.options, log.values, &link);
  if (result != CUDA_SUCCESS) {
    return fail_with_log(driver, &log, "cuLinkCreate", origin, result, error);
  }
  const udm_status status = link_ptx(driver, link, &log, ptx, origin, cubin, size, error);
  driver->cuLinkDestroy(link);
  return status;
}
