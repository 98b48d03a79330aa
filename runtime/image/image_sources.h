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
  enum kernel_maker maker;
  char producer[UDM_CACHE_TEXT_SIZE];
  char origin[UDM_PATH_SIZE]; /* the cache entry, the NVRTC library, "the PTX that udm carries" */
};

/* An image that the driver refused, or would refuse: hashes of its texts. */
struct refused_image {
  int32_t arch;
  bool writable; /* an entry of the writable layer, which a good image of this producer replaces */
  uint64_t producer;
  uint64_t origin;
};
enum { MOST_REFUSED = 32 };

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
  bool second_half;                   /* of a source that has two kinds of images */
  int32_t virtual_arch;               /* of the PTX that NVRTC compiles */
  unsigned char *built;               /* an image that was built, or NULL */
  bool cacheable;                     /* the built image is for the architecture of its key */
  char source_text[UDM_MESSAGE_SIZE]; /* why the source has no more images */
  char target_reasons[UDM_MESSAGE_SIZE / 4]; /* why it has none for the targets so far */

  /* what the sources share */
  unsigned lookup_flags;
  bool lock_tried;
  struct cache_lock lock;   /* held by the process that builds an image for this architecture */
  struct held_log held_log; /* the log lines while it is held */
  bool nvrtc_tried;         /* NVRTC is opened once, by the first source that needs it */
  udm_status nvrtc_status;
  char nvrtc_text[UDM_MESSAGE_SIZE / 2]; /* why it could not be opened */
  struct nvrtc nvrtc;

  int refused_count;
  struct refused_image refused[MOST_REFUSED];
  int refused_version; /* the newest CUDA version that made one of them; 0: none */

  char stored_path[UDM_PATH_SIZE]; /* of the entry that the built image became */
  char reasons[UDM_MESSAGE_SIZE];  /* one line "\n- cache: ..." per source without a usable image */
  char best_reason[UDM_MESSAGE_SIZE / 4]; /* why no NVRTC has an image for the architecture */
};

struct image_source {
  const char *name; /* in the reasons */

  /*
   * Puts its next image into search->image, or returns why it has no more. The walk
   * calls it again after a rejected image, never after it had none.
   */
  udm_status (*next)(struct image_search *search, struct error *error);
};

extern const struct image_source udm_image_sources[];
extern const int udm_image_source_count;

/* The CUDA version from which drivers read the shipped PTX: ptx/README.md. */
enum { CUDA_OF_SHIPPED_PTX = 11080 };

/* The arguments of "%d.%d" */
#define VERSION_ARGUMENTS(version) (int)(version) / 1000, (int)(version) % 1000 / 10

/* search->image is refused: it is not built again, and no other source offers it again. */
void udm_image_remember_refused(struct image_search *search);

/* True if the file was refused in this walk: two sources may find it. */
bool udm_image_file_was_refused(const struct image_search *search, const char *path);

/* True if such an image was refused in this walk. */
bool udm_image_was_refused(const struct image_search *search, int32_t arch, const char *producer);

/*
 * True if there is a good reason to refuse what this producer makes: it is newer than the driver,
 * or the architecture is not the device's own (an embedded GPU's image on a desktop GPU). Otherwise
 * a refused image is a spoiled one, and made anew it may be good.
 */
bool udm_image_refusal_is_expected(const struct image_search *search, int32_t arch,
                                   const char *producer);

/* True if the failure does not concern one image: the next image would meet it too. */
static inline bool udm_image_is_fatal(udm_status status) {
  return status == UDM_ERROR_DRIVER || status == UDM_ERROR_CAPTURE ||
         status == UDM_ERROR_OUT_OF_MEMORY || status == UDM_ERROR_CANCELLED;
}

#endif
