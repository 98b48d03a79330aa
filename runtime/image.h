/*
 * image.h: the image ladder: from a device's architecture to a kernel image
 * that its driver takes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_H
#define UDM_RUNTIME_IMAGE_H

#include "options.h"

struct image {
  const unsigned char *bytes; /* NULL in a plan, where it has yet to be compiled */
  size_t size;
  int32_t arch;
  udm_image_source source;
  char origin[UDM_PATH_SIZE]; /* the cache entry, or the NVRTC library */
};

/*
 * Tries to load one image. OK takes it. NO_IMAGE refuses it: it is of no use to
 * this driver, and the next one is offered. Any other status has nothing to do
 * with the image (out of device memory, a failed context): the climb ends.
 */
typedef udm_status (*image_load_callback)(void *user_data, const struct image *image);

/*
 * Offers the images for device_arch to `load`, best first, until it takes one,
 * which *taken then describes (without its bytes). With a NULL `load`, nothing
 * is compiled: *taken describes the first image that would be offered.
 * NO_IMAGE carries the reason of every rung.
 */
udm_status udm_image_serve(const struct settings *settings, int32_t device_arch,
                           image_load_callback load, void *user_data, struct image *taken);

#endif
