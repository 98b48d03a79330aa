/*
 * nvrtc.h: the NVRTC library, found and opened at run time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_NVRTC_NVRTC_H
#define UDM_RUNTIME_NVRTC_NVRTC_H

#include <stddef.h>

#include "core/settings.h"
#include "nvrtc/nvrtc_types.h"

struct nvrtc {
  void *library;               /* NULL: its functions are the host's, or it is not open */
  struct symbol_provider host; /* asked in that case */
  int version_major;
  int version_minor;
  int arch_count;
  int archs[UDM_MAX_ARCHS]; /* ascending */
  char build[48];           /* the library's build id, "" when it has none */
  char path[UDM_PATH_SIZE]; /* the file that was opened */
#define UDM_NVRTC_SYMBOL(requirement, result, name, parameters) result(*name) parameters;
#include "nvrtc_symbols.h"
};

/*
 * Opens the first usable NVRTC of the search (nvrtc_search.h) and asks it what
 * it is and supports. NO_NVRTC names every candidate and why it would not do.
 */
udm_status udm_nvrtc_open(const struct settings *settings, struct nvrtc *nvrtc,
                          struct error *error);
void udm_nvrtc_close(struct nvrtc *nvrtc);

/*
 * Opens one library, or finds it if it is in the process already. NOT_FOUND
 * when there is none of that name, NO_NVRTC when there is one that cannot be
 * used, with the reason.
 */
udm_status udm_nvrtc_open_candidate(const char *library, bool already_loaded, struct nvrtc *nvrtc,
                                    struct error *error);

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
                             unsigned char **bytes, size_t *size, struct error *error);

/* The failure of an NVRTC call: its name, and NVRTC's name of the error. */
udm_status udm_fail_nvrtc(const struct nvrtc *nvrtc, udm_status status, const char *call,
                          nvrtcResult result, struct error *error);

#endif
