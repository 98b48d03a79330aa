/*
 * image_resolve.h: from the architecture of a device to an image that its driver
 * can load. The caller pulls one image after another, best first:
 *
 *     status = udm_image_search_begin(settings, arch, driver, &search, error);
 *     while ((status = udm_image_search_next(search, error)) == UDM_OK) {
 *       status = load search->image, with &search->reason as its error;
 *       if (status == UDM_OK) { udm_image_search_accept(search); break; }
 *       if (status != UDM_ERROR_NO_IMAGE) break;   // no other image would load either
 *       udm_image_search_reject(search);
 *     }
 *     udm_image_search_end(search);
 *
 * Without a driver the walk is a plan: nothing is built, locked, removed or written,
 * and the first image is the one that would be loaded first.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_IMAGE_RESOLVE_H
#define UDM_RUNTIME_IMAGE_IMAGE_RESOLVE_H

#include "cache/cache.h"
#include "driver/driver.h"
#include "image/kernel_key.h"

struct image {
  const unsigned char *bytes; /* NULL in a plan, for an image that would have to be built */
  size_t size;
  int32_t arch;
  bool is_ptx; /* for a driver that assembles only while it loads: 0-terminated text */
  udm_image_source source;
  char origin[UDM_PATH_SIZE]; /* the cache entry, the NVRTC library, "the PTX that udm carries" */
};

/* The state of a walk. It is large and lives on the heap. */
struct image_search {
  const struct settings *settings;
  const struct driver *driver; /* NULL: a plan */
  int driver_version;
  int32_t device_arch;

  struct image image; /* the image to try now */
  char reason_text[UDM_MESSAGE_SIZE / 2];
  struct error reason; /* why the image cannot be used: into reason_text */

  /* the current image source, and how far it is */
  int source;
  bool begun;                         /* it was asked before */
  int32_t target;                     /* the architecture that it tries */
  struct cache_lookup *lookup;        /* open while cached images are tried */
  struct kernel_key key;              /* of the images that are tried */
  bool build_tried;                   /* no image of this key is left to build */
  int32_t virtual_arch;               /* of the PTX that NVRTC compiles */
  unsigned char *built;               /* an image that was built, or NULL */
  bool cacheable;                     /* the built image is for the architecture of its key */
  char source_text[UDM_MESSAGE_SIZE]; /* why the source has no more images */
  char target_reasons[UDM_MESSAGE_SIZE / 4]; /* why it has none for the targets so far */

  /* what the sources share */
  unsigned lookup_flags;
  struct cache_lock lock; /* held by the process that builds an image for this architecture */
  bool nvrtc_tried;       /* NVRTC is opened once, by the first source that needs it */
  udm_status nvrtc_status;
  char nvrtc_text[UDM_MESSAGE_SIZE / 2]; /* why it could not be opened */
  struct nvrtc nvrtc;

  char reasons[UDM_MESSAGE_SIZE]; /* one line "\n- cache: ..." per source without a usable image */
};

/* NO_IMAGE for an architecture below UDM_LOWEST_ARCH. */
udm_status udm_image_search_begin(const struct settings *settings, int32_t device_arch,
                                  const struct driver *driver, struct image_search **search,
                                  struct error *error);

/*
 * Puts the next image into search->image. Returns NO_IMAGE, with the reason of
 * every source, after the last image; OUT_OF_MEMORY, DRIVER or CAPTURE for a
 * failure that the next image would meet too.
 */
udm_status udm_image_search_next(struct image_search *search, struct error *error);

/* The image is used: records the use of a cached one, stores a built one. */
void udm_image_search_accept(struct image_search *search);

/* The driver cannot use the image; search->reason says why. */
void udm_image_search_reject(struct image_search *search);

/* Frees the walk. NULL is allowed. */
void udm_image_search_end(struct image_search *search);

#endif
