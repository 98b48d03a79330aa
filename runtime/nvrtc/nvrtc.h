/*
 * nvrtc.h: the NVRTC library, found and opened at run time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_NVRTC_NVRTC_H
#define UDM_RUNTIME_NVRTC_NVRTC_H

#include <stddef.h>

#include "core/options.h"
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
  void *library;               /* NULL: its functions are the host's, or it is not open */
  struct symbol_provider host; /* asked in that case */
  int version_major;
  int version_minor;
  int arch_count;
  int archs[UDM_MAX_ARCHS]; /* ascending */
  char build[48];           /* the library's build id, "" when it has none */
  char path[UDM_PATH_SIZE]; /* the file that was opened */
#define UDM_NVRTC_POINTER(requirement, name) name##_function *name;
  UDM_NVRTC_SYMBOLS(UDM_NVRTC_POINTER)
#undef UDM_NVRTC_POINTER
};

/*
 * Opens the first usable NVRTC of the search (nvrtc_search.h) and asks it what
 * it is and supports. NO_NVRTC names every candidate and why it would not do.
 */
udm_status udm_nvrtc_open(const struct settings *settings, struct nvrtc *nvrtc);
void udm_nvrtc_close(struct nvrtc *nvrtc);

/*
 * Opens one library, or finds it if it is in the process already. NOT_FOUND
 * when there is none of that name, NO_NVRTC when there is one that cannot be
 * used, with the reason.
 */
udm_status udm_nvrtc_open_candidate(const char *library, bool already_loaded, struct nvrtc *nvrtc);

/* The highest architecture that this NVRTC knows of those from lowest to highest; 0: none. */
int udm_nvrtc_arch_below(const struct nvrtc *nvrtc, int32_t lowest, int32_t highest);

struct nvrtc_job {
  const char *source; /* 0-terminated */
  const char *name;   /* of the source, in messages */
  int option_count;
  const char *const *options;
  bool to_ptx;  /* else to a cubin */
  bool refused; /* out: it failed because of the source or the options, as it will again */
};

/*
 * Compiles and returns the cubin, or the PTX as 0-terminated text, which the
 * caller frees. COMPILE carries NVRTC's log. The locale is left as it was.
 */
udm_status udm_nvrtc_compile(const struct nvrtc *nvrtc, struct nvrtc_job *job,
                             unsigned char **bytes, size_t *size);

/* The failure of an NVRTC call: its name, and NVRTC's name of the error. */
udm_status udm_fail_nvrtc(const struct nvrtc *nvrtc, udm_status status, const char *call,
                          nvrtcResult result);

#endif
