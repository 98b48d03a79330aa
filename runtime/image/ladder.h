/*
 * ladder.h: what the rungs of the image ladder share. Of image.c and its rungs
 * alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_LADDER_H
#define UDM_RUNTIME_IMAGE_LADDER_H

#include "cache/cache.h"
#include "cache/cache_lock.h"
#include "image/compile.h"
#include "image/image.h"
#include "nvrtc/nvrtc.h"

struct climb {
  const struct settings *settings;
  int32_t device_arch;
  const struct image_driver *driver; /* NULL: only a plan is wanted */
  struct image *taken;
  bool refused;      /* the image that was offered last */
  udm_status broken; /* not OK: something other than an image failed, and the climb ends */
  unsigned lookup_flags;
  struct cache_lock lock; /* of whoever makes an image for this architecture */
  bool nvrtc_sought;      /* NVRTC is opened once, by the first rung that wants it */
  udm_status nvrtc_status;
  struct nvrtc nvrtc;
};

/*
 * A rung offers its images until one is taken (OK) or the climb is broken; it
 * fails with the reason when it has none that is taken.
 */
typedef udm_status (*rung_function)(struct climb *climb);

udm_status udm_rung_cache(struct climb *climb);
udm_status udm_rung_nvrtc_cached(struct climb *climb); /* no message, and none is needed */
udm_status udm_rung_nvrtc(struct climb *climb);
udm_status udm_rung_cache_same_major(struct climb *climb);
udm_status udm_rung_nvrtc_ptx(struct climb *climb);
udm_status udm_rung_shipped_ptx(struct climb *climb);

/* OK: taken, or in a plan: would be offered. */
udm_status udm_offer_image(struct climb *climb, const struct image *image);

#endif
