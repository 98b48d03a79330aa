/*
 * cubin.h: what a cubin's ELF header says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_CUBIN_H
#define UDM_RUNTIME_IMAGE_CUBIN_H

#include <stddef.h>
#include <stdint.h>

/*
 * The architecture that a cubin was compiled for (90, 103), or 0 when the bytes
 * are not a cubin.
 */
int32_t udm_cubin_arch(const void *bytes, size_t size);

/*
 * What is wrong with bytes that should be a cubin, as far as its ELF headers and
 * the bounds of its sections tell; NULL when nothing is. Static text.
 */
const char *udm_cubin_damage(const void *bytes, size_t size);

#endif
