/*
 * make_image.c: key -> cached images of that key -> else make one -> offer it ->
 * publish it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/make_image.h"

#include <stdlib.h>

#include "cache/cache_lock.h"
#include "core/allocator.h"
#include "core/status.h"
#include "image/cubin.h"

/* Published only once it was found good, so that no bad image comes back. */
static udm_status make_and_publish(struct image_making *making, struct made_image *made) {
  udm_status status = making->make(making->user_data, made);
  if (status == UDM_OK) status = making->offer_made(making->user_data, made);
  if (status != UDM_OK || made->not_to_keep || making->plan) return status;
  making->published =
      udm_cache_publish(making->settings, making->key, made->bytes, made->size, making->path);
  return UDM_OK;
}

static bool is_cached(struct image_making *making, unsigned flags) {
  return !making->force && udm_cache_lookup(making->settings, making->key, flags,
                                            making->offer_cached, making->user_data) == UDM_OK;
}

udm_status udm_make_image(struct image_making *making) {
  struct made_image made = {NULL, 0, false, false};
  struct cache_lock lock = UDM_CACHE_LOCK_INIT;
  making->published = UDM_OK;
  making->path[0] = '\0';
  if (is_cached(making, making->lookup_flags)) return UDM_OK;
  if (!making->locked) {
    /* of several that want the same image at once, one makes it */
    udm_cache_lock_key(making->settings, making->key, &lock);
    if (is_cached(making, making->lookup_flags & ~(unsigned)CACHE_LOOKUP_FIRST)) {
      udm_cache_unlock(&lock);
      return UDM_OK;
    }
  }
  const udm_status status = make_and_publish(making, &made);
  udm_cache_unlock(&lock);
  udm_free(made.bytes);
  return status;
}

enum cache_verdict udm_check_cached_image(const struct cache_hit *hit, int32_t arch) {
  const int32_t made_for = udm_cubin_arch(hit->image, hit->image_size);
  /* the driver is told no size: it would read beyond the end of a cubin that lacks its own */
  const char *damage = udm_cubin_damage(hit->image, hit->image_size);
  if (made_for != arch) {
    udm_fail(UDM_ERROR_NO_IMAGE, "it holds a cubin for sm_%d, not sm_%d", (int)made_for, (int)arch);
    return CACHE_WRONG_ARCH;
  }
  if (damage) {
    udm_fail(UDM_ERROR_NO_IMAGE, "%s", damage);
    return CACHE_REFUSED;
  }
  return CACHE_STOP;
}
