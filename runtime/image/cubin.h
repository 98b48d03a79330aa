/*
 * cubin.h: what a cubin's ELF header says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_CUBIN_H
#define UDM_RUNTIME_IMAGE_CUBIN_H

#include "core/status.h"

/* Returns the architecture that a cubin was compiled for (90, 103), or 0 for other bytes. */
int32_t udm_cubin_arch(const void *bytes, size_t size);

/*
 * Returns what is wrong with a cubin (static text), or NULL. Checks its ELF headers and
 * the bounds of its sections.
 */
const char *udm_cubin_damage(const void *bytes, size_t size);

/*
 * Checks that bytes are a whole cubin for `arch`: the driver gets no size, and would
 * read beyond the end of a truncated one. Returns OK; UNSUPPORTED_ARCH if the
 * cubin is for another architecture; NO_IMAGE if it is damaged.
 */
udm_status udm_cubin_check(const void *bytes, size_t size, int32_t arch, struct error *error);

#endif
