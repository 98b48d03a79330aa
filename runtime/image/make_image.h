/*
 * make_image.h: the one way in which an image is made: unless the cache has it,
 * and then for the next one to find it there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_MAKE_IMAGE_H
#define UDM_RUNTIME_IMAGE_MAKE_IMAGE_H

#include "cache/cache.h"

struct made_image {
  unsigned char *bytes; /* freed by udm_make_image() */
  size_t size;
  bool is_ptx;      /* not a cubin, for a driver that assembles only as it loads */
  bool not_to_keep; /* nothing for the cache: PTX, or not what the key says */
};

struct image_making {
  const struct settings *settings;
  const struct cache_key *key; /* with its producer */
  bool force;                  /* make one even if the cache has it */
  bool plan;                   /* nothing is kept: what is "made" has no bytes */
  bool locked;                 /* the caller holds a lock under which no other one makes it */
  unsigned lookup_flags;       /* enum cache_lookup_flags */
  /* Looks at a cached image of exactly this key. */
  cache_offer_callback offer_cached;
  /* Makes one. */
  udm_status (*make)(void *user_data, struct made_image *made);
  /* OK: it is good, and worth keeping. */
  udm_status (*offer_made)(void *user_data, const struct made_image *made);
  void *user_data;
  udm_status published;     /* out, when one was made: CACHE when it could not be kept */
  char path[UDM_PATH_SIZE]; /* out, when it was published */
};

/*
 * OK when a cached image stopped the look-up or a made one was good; else the
 * status of making or offering it.
 */
udm_status udm_make_image(struct image_making *making);

/*
 * Whether a cached image is what its key says, a whole cubin for `arch`:
 * CACHE_STOP, or why not, with the thread's last error set.
 */
enum cache_verdict udm_check_cached_image(const struct cache_hit *hit, int32_t arch);

#endif
