/*
 * nvrtc_compile.c: compiles a source with NVRTC: see nvrtc_compile.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nvrtc_compile.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/nvrtc_functions.h"

/* The functions of NVRTC that a compile calls. */
#define NVRTC_SYMBOLS(X)    \
  X(nvrtcCreateProgram)     \
  X(nvrtcCompileProgram)    \
  X(nvrtcGetCUBINSize)      \
  X(nvrtcGetCUBIN)          \
  X(nvrtcDestroyProgram)    \
  X(nvrtcGetProgramLogSize) \
  X(nvrtcGetProgramLog)     \
  X(nvrtcGetErrorString)

struct nvrtc {
#define NVRTC_POINTER(name) name##_function *name;
  NVRTC_SYMBOLS(NVRTC_POINTER)
#undef NVRTC_POINTER
};

static bool find_all(void *library, struct nvrtc *nvrtc) {
  void *address = NULL;
#define FIND(name)                 \
  address = dlsym(library, #name); \
  if (!address) return false;      \
  memcpy(&nvrtc->name, &address, sizeof address);
  NVRTC_SYMBOLS(FIND)
#undef FIND
  return true;
}

/*
 * The highest architecture of the device's generation that NVRTC knows and the device runs; 0 if
 * there is none.
 */
static int32_t target_for(const udm_nvrtc_info *info, int32_t device_arch) {
  int32_t target = 0;
  for (int32_t i = 0; i < info->arch_count; ++i) {
    const int32_t arch = info->archs[i];
    if (arch / 10 == device_arch / 10 && arch <= device_arch && arch > target) target = arch;
  }
  return target;
}

/* As the library does: an old NVRTC finds its builtins in the loader's folders alone. */
static void open_builtins(const udm_nvrtc_info *info) {
  char path[UDM_PATH_SIZE + 64];
  const char *slash = strrchr(info->path, '/');
  if (!slash) return;
  snprintf(path, sizeof path, "%.*s/libnvrtc-builtins.so.%d.%d", (int)(slash - info->path),
           info->path, (int)info->version_major, (int)info->version_minor);
  dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

/* Writes the error and, on one line, the log. */
static void write_reason(const struct nvrtc *nvrtc, nvrtcProgram program, nvrtcResult result,
                         char *reason, size_t size) {
  size_t log_size = 0;
  char *log = NULL;
  if (program && nvrtc->nvrtcGetProgramLogSize(program, &log_size) == NVRTC_SUCCESS) {
    log = calloc(log_size + 1, 1);
    if (log && nvrtc->nvrtcGetProgramLog(program, log) != NVRTC_SUCCESS) log[0] = '\0';
  }
  for (char *c = log; c && *c; ++c) {
    if (*c == '\n') *c = ' ';
  }
  snprintf(reason, size, "%s: %s", nvrtc->nvrtcGetErrorString(result), log ? log : "");
  free(log);
}

static void compile(const struct nvrtc *nvrtc, const char *source, int32_t target,
                    unsigned char **cubin, char *reason, size_t reason_size) {
  char option[40];
  const char *const options[] = {option, "--std=c++17"};
  nvrtcProgram program = NULL;
  size_t size = 0;
  snprintf(option, sizeof option, "--gpu-architecture=sm_%d", (int)target);
  nvrtcResult result = nvrtc->nvrtcCreateProgram(&program, source, "kernels.cu", 0, NULL, NULL);
  if (result == NVRTC_SUCCESS) result = nvrtc->nvrtcCompileProgram(program, 2, options);
  if (result == NVRTC_SUCCESS) result = nvrtc->nvrtcGetCUBINSize(program, &size);
  if (result == NVRTC_SUCCESS) {
    *cubin = malloc(size + 1);
    result = *cubin ? nvrtc->nvrtcGetCUBIN(program, (char *)*cubin) : NVRTC_ERROR_OUT_OF_MEMORY;
  }
  if (result != NVRTC_SUCCESS) {
    write_reason(nvrtc, program, result, reason, reason_size);
    free(*cubin);
    *cubin = NULL;
  }
  if (program) nvrtc->nvrtcDestroyProgram(&program);
}

bool nvrtc_compile(const udm_options *options, const char *source, int32_t device_arch,
                   unsigned char **cubin, char *reason, size_t reason_size) {
  udm_nvrtc_info info = {.struct_size = sizeof info};
  struct nvrtc nvrtc;
  *cubin = NULL;
  if (udm_query_nvrtc(options, &info) != UDM_OK) {
    snprintf(reason, reason_size, "%s", udm_last_error());
    return false;
  }
  const int32_t target = target_for(&info, device_arch);
  void *library = dlopen(info.path, RTLD_NOW | RTLD_LOCAL);
  if (!target) {
    snprintf(reason, reason_size, "NVRTC %d.%d does not know sm_%d", (int)info.version_major,
             (int)info.version_minor, (int)device_arch);
  } else if (!library || !find_all(library, &nvrtc)) {
    snprintf(reason, reason_size, "%s cannot be used: %s", info.path, dlerror());
  } else {
    open_builtins(&info);
    compile(&nvrtc, source, target, cubin, reason, reason_size);
  }
  if (library) dlclose(library);
  return *cubin != NULL;
}
