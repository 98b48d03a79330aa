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
  int archs[UDM_MAX_ARCHS]; /* ascending */
  char build[48];           /* the build id of the library; "" if it has none */
  char path[UDM_PATH_SIZE]; /* the file that was opened */
#define UDM_NVRTC_POINTER(requirement, name) name##_function *name;
  UDM_NVRTC_SYMBOLS(UDM_NVRTC_POINTER)
#undef UDM_NVRTC_POINTER
};

/*
 * Opens the first usable NVRTC of the search (nvrtc_search.h) and asks for its version and
 * architectures. NO_NVRTC names every candidate and why it cannot be used.
 */
udm_status udm_nvrtc_open(const struct settings *settings, struct nvrtc *nvrtc,
                          struct error *error);
void udm_nvrtc_close(struct nvrtc *nvrtc);

/*
 * Opens one library; with already_loaded, only if the process has loaded it before. Returns
 * NOT_FOUND if there is no library of that name; NO_NVRTC, with the reason, if there is one that
 * cannot be used.
 */
udm_status udm_nvrtc_open_candidate(const char *library, bool already_loaded, struct nvrtc *nvrtc,
                                    struct error *error);

/* Returns the highest architecture from lowest to highest that this NVRTC knows, or 0. */
int udm_nvrtc_arch_below(const struct nvrtc *nvrtc, int32_t lowest, int32_t highest);

struct nvrtc_job {
  const char *source; /* 0-terminated */
  const char *name;   /* of the source, for messages */
  int option_count;
  const char *const *options;
  bool to_ptx;  /* else to a cubin */
  bool refused; /* out: it failed because of the source or the options, so it would fail again */
};

/*
 * Compiles to a cubin, or to PTX as 0-terminated text. The caller frees *bytes with udm_free().
 * COMPILE carries NVRTC's log. The locale stays as it was.
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
