/*
 * compile.h: the shipped kernel as a job for NVRTC: its source, its options and
 * the cache key that both make.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_COMPILE_H
#define UDM_RUNTIME_IMAGE_COMPILE_H

#include "cache/cache_entry.h"
#include "nvrtc/nvrtc.h"

/* Storage of the texts that `key` points to. */
struct kernel_key {
  struct cache_key key;
  char label[16];
  char material[UDM_CACHE_TEXT_SIZE];
  char producer[256];
};

/*
 * The key of the kernel's cubin for an architecture, made by `producer`, or by
 * any when it is NULL. A cubin that the driver assembled of PTX has the same
 * material as one of NVRTC's: it is of the same source for the same target.
 */
void udm_kernel_key(int32_t arch, const char *producer, struct kernel_key *kernel_key);

/* Who makes a cubin, as the cache keeps it: NVRTC alone, ... */
#define UDM_PRODUCER_SIZE 256
void udm_producer_nvrtc(const struct nvrtc *nvrtc, char producer[UDM_PRODUCER_SIZE]);
/* ... the driver of NVRTC's PTX for a virtual architecture, or the driver of the shipped PTX. */
void udm_producer_nvrtc_ptx(const struct nvrtc *nvrtc, int32_t virtual_arch, int driver_version,
                            char producer[UDM_PRODUCER_SIZE]);
void udm_producer_shipped_ptx(int driver_version, char producer[UDM_PRODUCER_SIZE]);

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

/* Compiles the kernel to PTX for a virtual architecture. The caller frees *ptx, 0-terminated. */
udm_status udm_kernel_compile_ptx(const struct settings *settings, const struct nvrtc *nvrtc,
                                  int32_t virtual_arch, unsigned char **ptx, size_t *size);

/* The PTX that the library carries, 0-terminated; its target is UDM_LOWEST_ARCH. */
const char *udm_shipped_ptx(void);

#endif
