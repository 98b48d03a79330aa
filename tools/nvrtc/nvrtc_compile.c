/*
 * nvrtc_compile.c: NVRTC for the floor kernels: see nvrtc_compile.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nvrtc_compile.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct nvrtc_program *program;

typedef struct nvrtc_functions {
  int (*create)(program *, const char *source, const char *name, int, const char *const *,
                const char *const *);
  int (*compile)(program, int count, const char *const *options);
  int (*cubin_size)(program, size_t *);
  int (*cubin)(program, char *);
  int (*destroy)(program *);
  const char *(*error_string)(int);
} nvrtc_functions;

static bool find(void *library, const char *name, void *function) {
  void *symbol = dlsym(library, name);
  memcpy(function, &symbol, sizeof symbol);
  return symbol != NULL;
}

static bool find_all(void *library, nvrtc_functions *nvrtc) {
  return find(library, "nvrtcCreateProgram", &nvrtc->create) &&
         find(library, "nvrtcCompileProgram", &nvrtc->compile) &&
         find(library, "nvrtcGetCUBINSize", &nvrtc->cubin_size) &&
         find(library, "nvrtcGetCUBIN", &nvrtc->cubin) &&
         find(library, "nvrtcDestroyProgram", &nvrtc->destroy) &&
         find(library, "nvrtcGetErrorString", &nvrtc->error_string);
}

/* The highest of its major that NVRTC knows; 0 when there is none. */
static int32_t target_for(const udm_nvrtc_info *info, int32_t device_arch) {
  int32_t target = 0;
  for (int32_t i = 0; i < info->arch_count; ++i) {
    const int32_t arch = info->archs[i];
    if (arch / 10 == device_arch / 10 && arch <= device_arch && arch > target) target = arch;
  }
  return target;
}

static int compile(const nvrtc_functions *nvrtc, const char *source, int32_t target,
                   unsigned char **cubin) {
  char option[40];
  const char *const options[] = {option, "--std=c++17"};
  program made = NULL;
  size_t size = 0;
  snprintf(option, sizeof option, "--gpu-architecture=sm_%d", (int)target);
  int result = nvrtc->create(&made, source, "floor_kernels.cu", 0, NULL, NULL);
  if (result == 0) result = nvrtc->compile(made, 2, options);
  if (result == 0) result = nvrtc->cubin_size(made, &size);
  if (result == 0) {
    *cubin = malloc(size + 1);
    result = *cubin ? nvrtc->cubin(made, (char *)*cubin) : 1; /* 1: out of memory */
  }
  if (made) nvrtc->destroy(&made);
  return result;
}

bool nvrtc_compile(const udm_options *options, const char *source, int32_t device_arch,
                   unsigned char **cubin, char *reason, size_t reason_size) {
  udm_nvrtc_info info = {.struct_size = sizeof info};
  nvrtc_functions nvrtc;
  *cubin = NULL;
  if (udm_query_nvrtc(options, &info) != UDM_OK) {
    snprintf(reason, reason_size, "%s", udm_last_error());
    return false;
  }
  const int32_t target = target_for(&info, device_arch);
  void *library = dlopen(info.path, RTLD_NOW | RTLD_LOCAL);
  int result = -1;
  if (!target) {
    snprintf(reason, reason_size, "NVRTC %d.%d does not know sm_%d", (int)info.version_major,
             (int)info.version_minor, (int)device_arch);
  } else if (!library || !find_all(library, &nvrtc)) {
    snprintf(reason, reason_size, "%s cannot be used: %s", info.path, dlerror());
  } else {
    result = compile(&nvrtc, source, target, cubin);
    if (result != 0) {
      snprintf(reason, reason_size, "the floor kernels do not compile: %s",
               nvrtc.error_string(result));
    }
  }
  if (result != 0) {
    free(*cubin);
    *cubin = NULL;
  }
  if (library) dlclose(library);
  return result == 0;
}
