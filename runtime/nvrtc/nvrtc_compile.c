/*
 * nvrtc_compile.c: one compile by NVRTC, to a cubin or to PTX.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/allocator.h"
#include "core/status.h"
#include "nvrtc/locale_guard.h"
#include "nvrtc/nvrtc.h"

static udm_status fail_compile(const struct nvrtc *nvrtc, nvrtcProgram program,
                               nvrtcResult result) {
  size_t size = 0;
  char *log = NULL;
  if (nvrtc->nvrtcGetProgramLogSize(program, &size) == NVRTC_SUCCESS && size > 1) {
    log = udm_calloc(size + 1, 1);
    if (log && nvrtc->nvrtcGetProgramLog(program, log) != NVRTC_SUCCESS) log[0] = '\0';
  }
  const udm_status status =
      udm_fail(UDM_ERROR_COMPILE, "nvrtcCompileProgram: %s (%u) (%s, NVRTC %d.%d)\n%s",
               nvrtc->nvrtcGetErrorString(result), (unsigned)result, nvrtc->path,
               nvrtc->version_major, nvrtc->version_minor, log ? log : "");
  udm_free(log);
  return status;
}

/*
 * A compile opens libnvrtc-builtins by its bare name, which the loader does not
 * find beside an NVRTC outside its own folders (a wheel's, say): so it is opened
 * from there first. Where it is not, the compile's log tells.
 */
static void open_builtins(const struct nvrtc *nvrtc) {
  char path[UDM_PATH_SIZE + 64];
  const char *slash = strrchr(nvrtc->path, '/');
  if (!slash) return;
  snprintf(path, sizeof path, "%.*s/libnvrtc-builtins.so.%d.%d", (int)(slash - nvrtc->path),
           nvrtc->path, nvrtc->version_major, nvrtc->version_minor);
  if (!dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)) dlerror(); /* clears it */
}

/* What NVRTC makes of a program: how its size is asked for, how it is fetched. */
struct result_functions {
  const char *size_name;
  const char *name;
  nvrtcResult (*size)(nvrtcProgram program, size_t *size);
  nvrtcResult (*fetch)(nvrtcProgram program, char *bytes);
};

static udm_status fetch_result(const struct nvrtc *nvrtc, nvrtcProgram program,
                               const struct result_functions *functions, unsigned char **bytes,
                               size_t *size) {
  nvrtcResult result = functions->size(program, size);
  if (result != NVRTC_SUCCESS || *size == 0) {
    return udm_fail_nvrtc(nvrtc, UDM_ERROR_COMPILE, functions->size_name, result);
  }
  unsigned char *fetched = udm_malloc(*size);
  if (!fetched) return udm_fail_memory("what NVRTC made", *size);
  result = functions->fetch(program, (char *)fetched);
  if (result != NVRTC_SUCCESS) {
    udm_free(fetched);
    return udm_fail_nvrtc(nvrtc, UDM_ERROR_COMPILE, functions->name, result);
  }
  *bytes = fetched;
  return UDM_OK;
}

static udm_status compile(const struct nvrtc *nvrtc, struct nvrtc_job *job,
                          const struct result_functions *functions, unsigned char **bytes,
                          size_t *size) {
  nvrtcProgram program = NULL;
  nvrtcResult result = nvrtc->nvrtcCreateProgram(&program, job->source, job->name, 0, NULL, NULL);
  if (result != NVRTC_SUCCESS) {
    return udm_fail_nvrtc(nvrtc, UDM_ERROR_COMPILE, "nvrtcCreateProgram", result);
  }
  result = nvrtc->nvrtcCompileProgram(program, job->option_count, job->options);
  job->refused = result == NVRTC_ERROR_COMPILATION;
  const udm_status status = result == NVRTC_SUCCESS
                                ? fetch_result(nvrtc, program, functions, bytes, size)
                                : fail_compile(nvrtc, program, result);
  nvrtc->nvrtcDestroyProgram(&program);
  return status;
}

udm_status udm_nvrtc_compile(const struct nvrtc *nvrtc, struct nvrtc_job *job,
                             unsigned char **bytes, size_t *size) {
  const struct result_functions cubin = {"nvrtcGetCUBINSize", "nvrtcGetCUBIN",
                                         nvrtc->nvrtcGetCUBINSize, nvrtc->nvrtcGetCUBIN};
  const struct result_functions ptx = {"nvrtcGetPTXSize", "nvrtcGetPTX", nvrtc->nvrtcGetPTXSize,
                                       nvrtc->nvrtcGetPTX};
  struct locale_guard guard;
  job->refused = false;
  if (job->to_ptx && (!ptx.size || !ptx.fetch)) {
    return udm_fail(UDM_ERROR_COMPILE, "%s has no nvrtcGetPTX", nvrtc->path);
  }
  open_builtins(nvrtc);
  udm_locale_enter(&guard);
  const udm_status status = compile(nvrtc, job, job->to_ptx ? &ptx : &cubin, bytes, size);
  udm_locale_leave(&guard);
  return status;
}
