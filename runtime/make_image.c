/*
 * make_image.c: key -> cached images of that key -> else make one -> offer it ->
 * publish it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "make_image.h"

#include <stdlib.h>

/* Published only once it was found good, so that no bad image comes back. */
static udm_status make_and_publish(struct image_making *making, struct made_image *made) {
  udm_status status = making->make(making->user_data, made);
  if (status == UDM_OK) status = making->offer_made(making->user_data, made);
  if (status != UDM_OK || made->not_to_keep || making->plan) return status;
  making->published =
      udm_cache_publish(making->settings, making->key, made->bytes, made->size, making->path);
  return UDM_OK;
}

udm_status udm_make_image(struct image_making *making) {
  struct made_image made = {NULL, 0, false, false};
  making->published = UDM_OK;
  making->path[0] = '\0';
  if (!making->force && udm_cache_lookup(making->settings, making->key, making->offer_cached,
                                         making->user_data) == UDM_OK) {
    return UDM_OK;
  }
  const udm_status status = make_and_publish(making, &made);
  free(made.bytes);
  return status;
}
