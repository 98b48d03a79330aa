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
  char producer[UDM_CACHE_TEXT_SIZE]; /* the compiler that made it, on one line */
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
  bool begun;                         /* the walk has called it before */
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
  struct cache_lock lock;   /* held by the process that builds an image for this architecture */
  struct held_log held_log; /* the log lines while it is held */
  bool nvrtc_tried;         /* NVRTC is opened once, by the first source that needs it */
  udm_status nvrtc_status;
  char nvrtc_text[UDM_MESSAGE_SIZE / 2]; /* why it could not be opened */
  struct nvrtc nvrtc;

  char stored_path[UDM_PATH_SIZE]; /* of the entry that the built image became */
  char reasons[UDM_MESSAGE_SIZE];  /* one line "\n- cache: ..." per source without a usable image */
};

struct image_source {
  const char *name; /* in the reasons; NULL: this source's reason is not kept */

  /*
   * Puts its next image into search->image, or returns why it has no more. The walk
   * calls it again after a rejected image, never after it had none.
   */
  udm_status (*next)(struct image_search *search, struct error *error);
};

extern const struct image_source udm_image_sources[];
extern const int udm_image_source_count;

/* True if the failure does not concern one image: the next image would meet it too. */
static inline bool udm_image_is_fatal(udm_status status) {
  return status == UDM_ERROR_DRIVER || status == UDM_ERROR_CAPTURE ||
         status == UDM_ERROR_OUT_OF_MEMORY || status == UDM_ERROR_CANCELLED;
}

#endif
