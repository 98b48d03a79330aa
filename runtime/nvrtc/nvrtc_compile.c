/*
 * nvrtc_compile.c: one compile by NVRTC, to a cubin or to PTX.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <locale.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/allocator.h"
#include "core/status.h"
#include "nvrtc/nvrtc.h"

/*
 * NVRTC 11.8 changes LC_NUMERIC of the process and the locale of the thread, and does not restore
 * them as later versions do. Several threads may compile: the first to enter remembers the locale
 * of the process, the last to leave restores it.
 */
static pthread_mutex_t locale_lock = PTHREAD_MUTEX_INITIALIZER;
static int compiles_running;
static char *process_locale; /* NULL if memory was short: then nothing is restored */

static locale_t enter_locale_guard(void) {
  pthread_mutex_lock(&locale_lock);
  if (compiles_running++ == 0) {
    const char *name = setlocale(LC_ALL, NULL);
    process_locale = name ? strdup(name) : NULL;
  }
  pthread_mutex_unlock(&locale_lock);
  return uselocale((locale_t)0);
}

static void leave_locale_guard(locale_t thread_locale) {
  pthread_mutex_lock(&locale_lock);
  if (--compiles_running == 0) {
    const char *name = setlocale(LC_ALL, NULL);
    if (process_locale && name && strcmp(name, process_locale) != 0) {
      setlocale(LC_ALL, process_locale);
    }
    free(process_locale);
    process_locale = NULL;
  }
  pthread_mutex_unlock(&locale_lock);
  if (uselocale((locale_t)0) != thread_locale) uselocale(thread_locale);
}

static udm_status fail_compile(const struct nvrtc *nvrtc, nvrtcProgram program, nvrtcResult result,
                               struct error *error) {
  size_t size = 0;
  char *log = NULL;
  if (nvrtc->nvrtcGetProgramLogSize(program, &size) == NVRTC_SUCCESS && size > 1) {
    log = udm_calloc(size + 1, 1);
    if (log && nvrtc->nvrtcGetProgramLog(program, log) != NVRTC_SUCCESS) log[0] = '\0';
  }
  const udm_status failed =
      result == NVRTC_ERROR_OUT_OF_MEMORY ? UDM_ERROR_OUT_OF_MEMORY : UDM_ERROR_COMPILE;
  const udm_status status =
      udm_fail(error, failed, "nvrtcCompileProgram: %s (%u) (%s, NVRTC %d.%d)%s%s",
               nvrtc->nvrtcGetErrorString(result), (unsigned)result, nvrtc->path,
               nvrtc->version_major, nvrtc->version_minor, log && *log ? "\n" : "", log ? log : "");
  udm_free(log);
  return status;
}

/*
 * A compile opens libnvrtc-builtins by its bare name. The loader does not find that beside an NVRTC
 * outside the loader's folders, such as in a wheel, so this opens the file first. If it is missing,
 * the log of the compile says so.
 */
static void open_builtins(const struct nvrtc *nvrtc) {
  char path[UDM_PATH_SIZE];
  udm_nvrtc_builtins(nvrtc, path);
  if (!*path) return;
  if (!dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)) dlerror(); /* this clears the message */
}

/* The functions that return a result of a program, a cubin or PTX. */
struct result_functions {
  const char *size_name;
  const char *name;
  nvrtcResult (*size)(nvrtcProgram program, size_t *size);
  nvrtcResult (*fetch)(nvrtcProgram program, char *bytes);
};

static udm_status fetch_result(const struct nvrtc *nvrtc, nvrtcProgram program,
                               const struct result_functions *functions, unsigned char **bytes,
                               size_t *size, struct error *error) {
  nvrtcResult result = functions->size(program, size);
  if (result != NVRTC_SUCCESS || *size == 0) {
    return udm_fail_nvrtc(nvrtc, UDM_ERROR_COMPILE, functions->size_name, result, error);
  }
  unsigned char *fetched = udm_malloc(*size);
  if (!fetched) return udm_fail_memory(error, "the result of NVRTC", *size);
  result = functions->fetch(program, (char *)fetched);
  if (result != NVRTC_SUCCESS) {
    udm_free(fetched);
    return udm_fail_nvrtc(nvrtc, UDM_ERROR_COMPILE, functions->name, result, error);
  }
  *bytes = fetched;
  return UDM_OK;
}

/* Who is asked whether to stop while NVRTC compiles. */
struct stop_question {
  const struct settings *settings;
  pthread_t caller; /* the host's callback runs on this thread alone, also if NVRTC has others */
  atomic_bool stop; /* NVRTC wants the same answer from then on */
};

static int ask_whether_to_stop(void *payload, void *reserved) {
  struct stop_question *question = payload;
  (void)reserved;
  if (!atomic_load(&question->stop) && pthread_equal(question->caller, pthread_self()) &&
      udm_should_stop(question->settings, UDM_ACTIVITY_COMPILING)) {
    atomic_store(&question->stop, true);
  }
  return atomic_load(&question->stop);
}

static udm_status compile(const struct nvrtc *nvrtc, struct nvrtc_job *job,
                          const struct result_functions *functions, unsigned char **bytes,
                          size_t *size, struct error *error) {
  struct stop_question question = {job->settings, pthread_self(), false};
  nvrtcProgram program = NULL;
  nvrtcResult result = nvrtc->nvrtcCreateProgram(&program, job->source, job->name, 0, NULL, NULL);
  if (result != NVRTC_SUCCESS) {
    return udm_fail_nvrtc(nvrtc, UDM_ERROR_COMPILE, "nvrtcCreateProgram", result, error);
  }
  if (job->settings->should_stop && nvrtc->nvrtcSetFlowCallback) {
    nvrtc->nvrtcSetFlowCallback(program, ask_whether_to_stop, &question);
  }
  result = nvrtc->nvrtcCompileProgram(program, job->option_count, job->options);
  udm_status status = UDM_OK;
  if (result == NVRTC_SUCCESS) {
    status = fetch_result(nvrtc, program, functions, bytes, size, error);
  } else if (atomic_load(&question.stop)) {
    status = udm_fail_cancelled(error, "the compile");
  } else {
    job->refused = result == NVRTC_ERROR_COMPILATION;
    status = fail_compile(nvrtc, program, result, error);
  }
  nvrtc->nvrtcDestroyProgram(&program);
  return status;
}

udm_status udm_nvrtc_compile(const struct nvrtc *nvrtc, struct nvrtc_job *job,
                             unsigned char **bytes, size_t *size, struct error *error) {
  const struct result_functions cubin = {"nvrtcGetCUBINSize", "nvrtcGetCUBIN",
                                         nvrtc->nvrtcGetCUBINSize, nvrtc->nvrtcGetCUBIN};
  const struct result_functions ptx = {"nvrtcGetPTXSize", "nvrtcGetPTX", nvrtc->nvrtcGetPTXSize,
                                       nvrtc->nvrtcGetPTX};
  job->refused = false;
  if (job->to_ptx && (!ptx.size || !ptx.fetch)) {
    return udm_fail(error, UDM_ERROR_COMPILE, "%s has no nvrtcGetPTX", nvrtc->path);
  }
  if (udm_should_stop(job->settings, UDM_ACTIVITY_COMPILING)) {
    return udm_fail_cancelled(error, "the compile");
  }
  open_builtins(nvrtc);
  const locale_t thread_locale = enter_locale_guard();
  const udm_status status = compile(nvrtc, job, job->to_ptx ? &ptx : &cubin, bytes, size, error);
  leave_locale_guard(thread_locale);
  return status;
}
