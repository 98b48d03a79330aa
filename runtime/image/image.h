/*
 * image.h: the image ladder: from a device's architecture to a kernel image
 * that its driver takes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_IMAGE_H
#define UDM_RUNTIME_IMAGE_IMAGE_H

#include "core/options.h"

/* The lowest compute capability for which the kernel is written, and of the shipped PTX. */
enum { UDM_LOWEST_ARCH = 70 };

struct image {
  const unsigned char *bytes; /* NULL in a plan, where it has yet to be made */
  size_t size;
  int32_t arch;
  bool is_ptx; /* of a driver that assembles only as it loads: 0-terminated text */
  udm_image_source source;
  char origin[UDM_PATH_SIZE]; /* the cache entry, the NVRTC library, "shipped PTX" */
};

/*
 * Tries to load one image. OK takes it. NO_IMAGE refuses it: it is of no use to
 * this driver, and the next one is offered. Any other status has nothing to do
 * with the image (out of device memory, a failed context): the climb ends.
 */
typedef udm_status (*image_load_callback)(void *user_data, const struct image *image);

/* Makes a cubin of PTX, which the caller frees. The statuses are those of loading. */
typedef udm_status (*image_assemble_callback)(void *user_data, const char *ptx, const char *origin,
                                              unsigned char **cubin, size_t *size);

/* What the ladder needs of a driver. */
struct image_driver {
  image_load_callback load;
  image_assemble_callback assemble; /* NULL: it assembles only as it loads */
  int version;                      /* cuDriverGetVersion: a producer of cubins */
  void *user_data;
};

/* Why each rung that was tried did not serve, a line each: "\n- cache: ...". */
typedef char image_reasons[UDM_MESSAGE_SIZE];

/*
 * Offers the images for device_arch to the driver, best first, until it takes
 * one, which *taken then describes (without its bytes). Without a driver,
 * nothing is made: *taken describes the first image that would be offered.
 * NO_IMAGE carries the reason of every rung; so does *reasons, which may be
 * NULL, whatever becomes of the climb.
 */
udm_status udm_image_serve(const struct settings *settings, int32_t device_arch,
                           const struct image_driver *driver, struct image *taken,
                           image_reasons *reasons);

#endif
