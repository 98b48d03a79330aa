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

/*
 * Who makes a cubin, best first. It is part of the key text: an image source finds its own entries
 * and no others.
 */
enum kernel_maker {
  KERNEL_BY_NVRTC,
  KERNEL_FROM_NVRTC_PTX,   /* assembled by a driver */
  KERNEL_FROM_SHIPPED_PTX, /* assembled by a driver */
  KERNEL_MAKERS
};

/* The storage of the texts that `key` points to: a kernel_key must not be copied. */
struct kernel_key {
  struct cache_key key;
  char arch_name[16];
  char text[UDM_CACHE_TEXT_SIZE];
  char producer[UDM_PRODUCER_SIZE];
};

/*
 * Makes the key of the kernel's cubin for an architecture, of this maker and
 * `producer`, or of any producer if that is NULL.
 */
void udm_kernel_key(int32_t arch, enum kernel_maker maker, const char *producer,
                    struct kernel_key *kernel_key);

/* True if a key text is one of this library's, whoever the maker is. */
bool udm_kernel_key_is_current(const char *text);

/* Returns the architecture that a key text names as its target, or 0 if it names none. */
int32_t udm_kernel_key_target(const char *text);

/* The producers: NVRTC alone; the driver from PTX of NVRTC; the driver from the shipped PTX. */
void udm_producer_nvrtc(const struct nvrtc *nvrtc, char producer[UDM_PRODUCER_SIZE]);
void udm_producer_nvrtc_ptx(const struct nvrtc *nvrtc, int32_t virtual_arch, int driver_version,
                            char producer[UDM_PRODUCER_SIZE]);
void udm_producer_shipped_ptx(int driver_version, char producer[UDM_PRODUCER_SIZE]);

/*
 * The CUDA version whose drivers read what this producer made, as cuDriverGetVersion() gives it:
 * 13000. For PTX that a driver assembled, that driver's. 0 if the text does not say.
 */
int udm_producer_cuda_version(const char *producer);

/* The producer's lines as one: "NVRTC 13.0, build 1f; PTX for compute_90, driver 13000" */
void udm_image_producer_line(const char *producer, char line[UDM_CACHE_TEXT_SIZE]);

/* The PTX that the library carries, 0-terminated. */
const char *udm_shipped_ptx(void);

/* The source that the library carries, 0-terminated. */
const char *udm_kernel_source_text(void);

#endif
