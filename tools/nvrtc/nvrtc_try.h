/*
 * nvrtc_try.h: finds out whether an NVRTC works, in a child process: one with damage that its
 * headers do not show can kill whoever opens it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_NVRTC_NVRTC_TRY_H
#define UDM_TOOLS_NVRTC_NVRTC_TRY_H

#include <stdbool.h>

#include "udm.h"

/*
 * Opens the library and compiles an empty kernel with it. Fills *info and returns "" if it works;
 * else returns why not; *kills: the child died. A signal (interrupt.h) ends the trial. The caller
 * frees the text; NULL: no memory.
 */
char *nvrtc_try(const udm_options *options, const char *library, udm_nvrtc_info *info, bool *kills);

#endif
