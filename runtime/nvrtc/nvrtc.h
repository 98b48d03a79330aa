/*
 * nvrtc.h: the NVRTC library, found and opened at run time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_NVRTC_NVRTC_H
#define UDM_RUNTIME_NVRTC_NVRTC_H

#include <stddef.h>

#include "core/settings.h"
#include "cuda/nvrtc_functions.h"
#include "nvrtc/library_file.h"

/*
 * The functions that the library uses. REQUIRED: without it NVRTC cannot be
 * used. OPTIONAL: NULL if NVRTC lacks it; the caller checks.
 */
#define UDM_NVRTC_SYMBOLS(X)             \
  X(REQUIRED, nvrtcVersion)              \
  X(REQUIRED, nvrtcGetErrorString)       \
  X(REQUIRED, nvrtcGetNumSupportedArchs) \
  X(REQUIRED, nvrtcGetSupportedArchs)    \
  X(REQUIRED, nvrtcCreateProgram)        \
  X(REQUIRED, nvrtcDestroyProgram)       \
  X(REQUIRED, nvrtcCompileProgram)       \
  X(OPTIONAL, nvrtcSetFlowCallback)      \
  X(REQUIRED, nvrtcGetCUBINSize)         \
  X(REQUIRED, nvrtcGetCUBIN)             \
  X(OPTIONAL, nvrtcGetPTXSize)           \
  X(OPTIONAL, nvrtcGetPTX)               \
  X(REQUIRED, nvrtcGetProgramLogSize)    \
  X(REQUIRED, nvrtcGetProgramLog)

struct nvrtc {
  void *library;               /* NULL: the host provides the functions, or NVRTC is not open */
  struct symbol_provider host; /* used if library is NULL */
  int version_major;
  int version_minor;
  int arch_count;
  int archs[UDM_MAX_ARCHS];  /* ascending */
  char build[48];            /* the build id of the library; "" if it has none */
  char path[UDM_PATH_SIZE];  /* the file that was opened */
  struct library_files seen; /* what the search looked at, up to this file */
#define UDM_NVRTC_POINTER(requirement, name) name##_function *name;
  UDM_NVRTC_SYMBOLS(UDM_NVRTC_POINTER)
#undef UDM_NVRTC_POINTER
};

/*
 * Opens the first usable NVRTC of the search (nvrtc_search.h) and asks for its version and
 * architectures. Logs a warning for each candidate that it passes over. NO_NVRTC names every
 * candidate and why it cannot be used.
 */
udm_status udm_nvrtc_open(const struct settings *settings, struct nvrtc *nvrtc,
                          struct error *error);

void udm_nvrtc_close(struct nvrtc *nvrtc);

/*
 * For an NVRTC that opened and cannot compile, for the reason given: replaces it by the next one of
 * the search that knows the architecture, and logs a warning. If there is none, returns false and
 * leaves *nvrtc as it is.
 */
bool udm_nvrtc_replace(const struct settings *settings, int32_t arch, const char *reason,
                       struct nvrtc *nvrtc);

/*
 * Opens one library, after a check of its file and of the builtins that its compiles will open;
 * with already_loaded, only if the process has loaded it before. Returns NOT_FOUND if there is no
 * library of that name; NO_NVRTC, with the reason, if there is one that cannot be used: then
 * nvrtc->path alone is set, to the file or "".
 */
udm_status udm_nvrtc_open_candidate(const char *library, bool already_loaded, struct nvrtc *nvrtc,
                                    struct error *error);

/*
 * Writes the builtins library that a compile opens: beside NVRTC, else where the loader finds it.
 * "" if there is none.
 */
void udm_nvrtc_builtins(const struct nvrtc *nvrtc, char path[UDM_PATH_SIZE]);

/* Returns the highest architecture from lowest to highest that this NVRTC knows, or 0. */
int udm_nvrtc_arch_below(const struct nvrtc *nvrtc, int32_t lowest, int32_t highest);

/*
 * The Python package with the newest NVRTC that knows the architecture: CUDA 13 does not know Volta
 * any more.
 */
const char *udm_nvrtc_package(int32_t arch);

struct nvrtc_job {
  const struct settings *settings; /* whom to ask whether to stop */
  const char *source;              /* 0-terminated */
  const char *name;                /* of the source, for messages */
  int option_count;
  const char *const *options;
  bool to_ptx;  /* else to a cubin */
  bool refused; /* out: it failed because of the source or the options, so it would fail again */
};

/*
 * Compiles to a cubin, or to PTX as 0-terminated text. The caller frees *bytes with udm_free().
 * COMPILE carries NVRTC's log; CANCELLED: the host asked to stop. The locale stays as it was.
 */
udm_status udm_nvrtc_compile(const struct nvrtc *nvrtc, struct nvrtc_job *job,
                             unsigned char **bytes, size_t *size, struct error *error);

/*
 * Reports a failed NVRTC call: its name, and NVRTC's name of the error. The status is OUT_OF_MEMORY
 * if NVRTC had none.
 */
udm_status udm_fail_nvrtc(const struct nvrtc *nvrtc, udm_status status, const char *call,
                          nvrtcResult result, struct error *error);

#endif
