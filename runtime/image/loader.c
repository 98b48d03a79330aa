/*
 * loader.c: the one place that decides how an image is loaded.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/loader.h"

#include "core/status.h"
#include "image/jit_log.h"

/*
 * cuLibraryLoadData where the driver has it, else cuModuleLoadDataEx. To change
 * the preference, change this line; docs/ARCHITECTURE.md says what was measured.
 */
enum { PREFER_LIBRARIES = 1 };

static bool loads_libraries(const struct driver *driver) {
  return PREFER_LIBRARIES && driver->cuLibraryLoadData && driver->cuLibraryUnload &&
         driver->cuLibraryGetKernel && driver->cuKernelGetFunction;
}

/* The errors that speak of the image; any other one would befall the next image too. */
udm_status udm_status_of_loading(CUresult result) {
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

/* PTX that no linker could make a cubin of: assembled and loaded in one go. */
static udm_status load_ptx(const struct driver *driver, const struct image *image,
                           struct loaded_code *code) {
  struct jit_log log;
  udm_jit_log_init(&log);
  const CUresult result = driver->cuModuleLoadDataEx(&code->module, image->bytes, JIT_LOG_OPTIONS,
                                                     log.options, log.values);
  if (result == CUDA_SUCCESS) return UDM_OK;
  code->module = NULL;
  return udm_jit_log_fail(driver, &log, "cuModuleLoadDataEx", image->origin, result);
}

udm_status udm_code_load(const struct driver *driver, const struct image *image,
                         struct loaded_code *code) {
  CUresult result = CUDA_SUCCESS;
  const char *call = "cuModuleLoadDataEx";
  code->module = NULL;
  code->library = NULL;
  if (image->is_ptx) return load_ptx(driver, image, code);
  if (loads_libraries(driver)) {
    call = "cuLibraryLoadData";
    result = driver->cuLibraryLoadData(&code->library, image->bytes, NULL, NULL, 0, NULL, NULL, 0);
  } else {
    result = driver->cuModuleLoadDataEx(&code->module, image->bytes, 0, NULL, NULL);
  }
  if (result == CUDA_SUCCESS) return UDM_OK;
  code->module = NULL;
  code->library = NULL;
  return udm_fail_driver(driver, udm_status_of_loading(result), call, image->origin, result);
}

udm_status udm_code_function(const struct driver *driver, const struct loaded_code *code,
                             const char *name, CUfunction *function) {
  const char *call = "cuModuleGetFunction";
  CUresult result = CUDA_SUCCESS;
  CUkernel kernel = NULL;
  if (code->library) {
    call = "cuLibraryGetKernel";
    result = driver->cuLibraryGetKernel(&kernel, code->library, name);
    if (result == CUDA_SUCCESS) {
      call = "cuKernelGetFunction";
      result = driver->cuKernelGetFunction(function, kernel);
    }
  } else {
    result = driver->cuModuleGetFunction(function, code->module, name);
  }
  if (result == CUDA_SUCCESS && driver->cuFuncLoad) {
    call = "cuFuncLoad";
    result = driver->cuFuncLoad(*function);
  }
  if (result == CUDA_SUCCESS) return UDM_OK;
  return udm_fail_driver(driver, udm_status_of_loading(result), call, name, result);
}

void udm_code_unload(const struct driver *driver, struct loaded_code *code) {
  if (code->library) driver->cuLibraryUnload(code->library);
  if (code->module) driver->cuModuleUnload(code->module);
  code->library = NULL;
  code->module = NULL;
}
