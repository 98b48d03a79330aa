/*
 * nvrtc_search.h: where udm looks for NVRTC, in order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_NVRTC_NVRTC_SEARCH_H
#define UDM_RUNTIME_NVRTC_NVRTC_SEARCH_H

#include "core/settings.h"

/*
 * Receives one candidate: the name to pass to dlopen, and whether the library counts
 * only if the process has loaded it already. Returns true to stop the search.
 */
typedef bool (*nvrtc_candidate_callback)(void *user_data, const char *library, bool already_loaded);

/*
 * Calls back for every candidate, best first:
 * 1. the path in the options or in UDM_NVRTC_LIBRARY, and then no other;
 * 2. a library that the process has loaded already;
 * 3. the loader's default names, newest first;
 * 4. CUDA_HOME and CUDA_PATH;
 * 5. /usr/local/cuda, then /usr/local/cuda*, newest first;
 * 6. the wheels' folders under VIRTUAL_ENV and CONDA_PREFIX.
 */
void udm_nvrtc_search(const struct settings *settings, nvrtc_candidate_callback callback,
                      void *user_data);

#endif
