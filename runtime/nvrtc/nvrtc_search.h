/*
 * nvrtc_search.h: where NVRTC is looked for, in order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_NVRTC_NVRTC_SEARCH_H
#define UDM_RUNTIME_NVRTC_NVRTC_SEARCH_H

#include "core/settings.h"

/*
 * Receives one candidate: what to give dlopen, and whether the library is only
 * wanted if it is already in the process. Returns true to stop the search.
 */
typedef bool (*nvrtc_candidate_callback)(void *user_data, const char *library, bool already_loaded);

/*
 * Calls back for every candidate, best first:
 * 1. the path of the options or of UDM_NVRTC_LIBRARY; then no other;
 * 2. one that is in the process already;
 * 3. the loader's default names, newest first;
 * 4. CUDA_HOME and CUDA_PATH;
 * 5. /usr/local/cuda, then /usr/local/cuda*, newest first;
 * 6. the wheels' folders under VIRTUAL_ENV and CONDA_PREFIX.
 */
void udm_nvrtc_search(const struct settings *settings, nvrtc_candidate_callback callback,
                      void *user_data);

#endif
