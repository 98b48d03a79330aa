/*
 * nvrtc.h: the NVRTC library, found and opened at run time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_NVRTC_H
#define UDM_RUNTIME_NVRTC_H

#include <stdbool.h>
#include <stddef.h>

#include "nvrtc_types.h"
#include "options.h"

struct nvrtc {
  void *library;            /* NULL: its functions are the host's, or it is not open */
  struct host_symbols host; /* asked in that case */
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
udm_status udm_nvrtc_open(const struct settings *settings, struct nvrtc *nvrtc);
void udm_nvrtc_close(struct nvrtc *nvrtc);

/*
 * The architecture to compile for: device_arch itself, else the highest one of
 * the same major below it that this NVRTC knows; 0 when there is none.
 */
int udm_nvrtc_target_arch(const struct nvrtc *nvrtc, int device_arch);

/*
 * Compiles source with the options and returns the cubin, which the caller
 * frees. COMPILE carries NVRTC's log; *refused (may be NULL) tells whether the
 * source was refused, or something failed that may work the next time.
 */
udm_status udm_nvrtc_compile(const struct nvrtc *nvrtc, const char *source, const char *name,
                             int option_count, const char *const *options, unsigned char **cubin,
                             size_t *size, bool *refused);

#endif
