/*
 * image_sources.h: where images come from, best first, and the state of the walk over
 * these sources (image_resolve.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_IMAGE_SOURCES_H
#define UDM_RUNTIME_IMAGE_IMAGE_SOURCES_H

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

  /* the image source that gives images now, and how far it is */
  int source;
  bool begun;                  /* it was asked before */
  int32_t target;              /* the architecture that it tries */
  struct cache_lookup *lookup; /* open while cached images are tried */
  struct kernel_key key;       /* of the images that are tried */
  bool build_tried;            /* no image of this key is left to build */
  int32_t virtual_arch;        /* of the PTX that NVRTC makes */
  unsigned char *built;        /* an image that was built, or NULL */
  bool cacheable;              /* the built image is what its key says */

  struct cache_lock lock; /* held by the one that builds an image for this architecture */
  bool nvrtc_opened;      /* NVRTC is opened once, by the first source that needs it */
  udm_status nvrtc_status;
  struct nvrtc nvrtc;
  unsigned lookup_flags;

  char source_text[UDM_MESSAGE_SIZE]; /* why the current source has no more images */
  char target_reasons[UDM_MESSAGE_SIZE / 4];
  char reasons[UDM_MESSAGE_SIZE]; /* per source that does not serve, a line "\n- cache: ..." */
};

struct image_source {
  const char *name; /* in the reasons; NULL: this source's reason is not kept */

  /*
   * Puts its next image into search->image, or returns why it has none (any more).
   * It is asked again after an image was rejected, and never after it had none.
   */
  udm_status (*next)(struct image_search *search, struct error *error);
};

extern const struct image_source udm_image_sources[];
extern const int udm_image_source_count;

/* True if a status has nothing to do with an image: the next image would fail in the same way. */
static inline bool udm_image_is_fatal(udm_status status) {
  return status == UDM_ERROR_DRIVER || status == UDM_ERROR_CAPTURE ||
         status == UDM_ERROR_OUT_OF_MEMORY;
}

#endif
