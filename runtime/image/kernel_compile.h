/*
 * kernel_compile.h: compiles the shipped kernel with NVRTC.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_KERNEL_COMPILE_H
#define UDM_RUNTIME_IMAGE_KERNEL_COMPILE_H

#include "image/kernel_key.h"

/*
 * Compiles the kernel for exactly this architecture, and checks that the cubin
 * names it too. The caller frees *cubin with udm_free(). A compile that NVRTC
 * refused in this process fails again at once, with the same message.
 */
udm_status udm_kernel_compile(const struct settings *settings, const struct nvrtc *nvrtc,
                              int32_t arch, unsigned char **cubin, size_t *size,
                              double *milliseconds, struct error *error);

/* Compiles the kernel to PTX, 0-terminated, for a virtual architecture. The caller frees *ptx. */
udm_status udm_kernel_compile_ptx(const struct settings *settings, const struct nvrtc *nvrtc,
                                  int32_t virtual_arch, unsigned char **ptx, size_t *size,
                                  struct error *error);

#endif
