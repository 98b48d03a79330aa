/*
 * image_sources.h: where images come from, best first.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_IMAGE_SOURCES_H
#define UDM_RUNTIME_IMAGE_IMAGE_SOURCES_H

#include "image/image_resolve.h"

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
         status == UDM_ERROR_OUT_OF_MEMORY;
}

#endif
