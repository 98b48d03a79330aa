/*
 * kernel_key.h: what identifies an image of the kernel in the cache: a key made
 * from the source, the compile options and the architecture, and a producer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_KERNEL_KEY_H
#define UDM_RUNTIME_IMAGE_KERNEL_KEY_H

#include "cache/cache.h"
#include "nvrtc/nvrtc.h"

/* The lowest compute capability that the kernel supports; also the target of the shipped PTX. */
enum { UDM_LOWEST_ARCH = 70 };

/* All options but --gpu-architecture. */
#define UDM_KERNEL_COMPILE_OPTION "--std=c++17"

#define UDM_PRODUCER_SIZE 256

/* The storage of the texts that `key` points to: a kernel_key must not be copied. */
struct kernel_key {
  struct cache_key key;
  char arch_name[16];
  char text[UDM_CACHE_TEXT_SIZE];
  char producer[UDM_PRODUCER_SIZE];
};

/*
 * Makes the key of the kernel's cubin for an architecture, made by `producer`, or
 * by any producer if that is NULL. A cubin that the driver assembled from PTX has
 * the same key text as one of NVRTC: both are made from the same source for the
 * same target.
 */
void udm_kernel_key(int32_t arch, const char *producer, struct kernel_key *kernel_key);

/* Returns the architecture that a key text names as its target, or 0 if it names none. */
int32_t udm_kernel_key_target(const char *text);

/* The producers: NVRTC alone; the driver from PTX of NVRTC; the driver from the shipped PTX. */
void udm_producer_nvrtc(const struct nvrtc *nvrtc, char producer[UDM_PRODUCER_SIZE]);
void udm_producer_nvrtc_ptx(const struct nvrtc *nvrtc, int32_t virtual_arch, int driver_version,
                            char producer[UDM_PRODUCER_SIZE]);
void udm_producer_shipped_ptx(int driver_version, char producer[UDM_PRODUCER_SIZE]);

/* Makes one line of a producer: "NVRTC 13.0\nPTX for compute_90\n" is for the cache alone. */
void udm_producer_join_lines(char *producer);

/* The PTX that the library carries, 0-terminated. */
const char *udm_shipped_ptx(void);

/* The source that the library carries, 0-terminated. */
const char *udm_kernel_source_text(void);

#endif
