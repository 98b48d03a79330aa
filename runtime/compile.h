/*
 * compile.h: the shipped kernel as a job for NVRTC: its source, its options and
 * the cache key that both make.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_COMPILE_H
#define UDM_RUNTIME_COMPILE_H

#include "cache_entry.h"
#include "nvrtc.h"

/* Storage of the texts that `key` points to. */
struct kernel_key {
  struct cache_key key;
  char label[16];
  char material[UDM_CACHE_TEXT_SIZE];
  char producer[128];
};

/* The key of the kernel for an architecture; by this NVRTC, or by any when it is NULL. */
void udm_kernel_key(int32_t arch, const struct nvrtc *nvrtc, struct kernel_key *kernel_key);

/* The architecture that a key's material names as its target; 0 when it names none. */
int32_t udm_kernel_key_target(const char *material);

/*
 * Compiles the kernel for exactly this architecture and checks that the cubin
 * says so too. The caller frees *cubin. A compile that NVRTC refused fails again
 * at once, with the message of then.
 */
udm_status udm_kernel_compile(const struct settings *settings, const struct nvrtc *nvrtc,
                              int32_t arch, unsigned char **cubin, size_t *size,
                              double *milliseconds);

/* Puts a compiled kernel into the cache. CACHE when that cannot be done. */
udm_status udm_kernel_publish(const struct settings *settings, const struct nvrtc *nvrtc,
                              int32_t arch, const void *cubin, size_t size,
                              char path[UDM_PATH_SIZE]);

#endif
