/*
 * cache.h: the cache of compiled images, as the rest of the library uses it.
 * Trouble in it is a miss and a log line, never a failure. It knows keys and
 * bytes, nothing of CUDA. docs/CACHE.md states its promises.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CACHE_CACHE_H
#define UDM_RUNTIME_CACHE_CACHE_H

#include "cache/cache_entry.h"
#include "cache/cache_folder.h"

/* A whole entry of the key, valid during the call that offers it. */
struct cache_hit {
  const unsigned char *image;
  size_t image_size;
  bool writable;    /* of the writable layer */
  const char *path; /* for people */
};

enum cache_verdict {
  CACHE_STOP,    /* taken, or no other one is wanted */
  CACHE_GIVE_UP, /* not taken, for a reason that is not the entry's, and no other one is wanted */
  CACHE_REFUSED, /* of no use to anybody: offer the next */
  CACHE_WRONG_ARCH, /* likewise: it holds an image for another architecture than its key says */
};

typedef enum cache_verdict (*cache_offer_callback)(void *user_data, const struct cache_hit *hit);

enum cache_lookup_flags {
  CACHE_LOOKUP_FIRST = 1, /* counts the miss, and tells of folders that are not used */
  CACHE_LOOKUP_REPAIR = 2 /* no mere plan: notes the use of what is taken, and removes entries of
                             the writable layer that are of no use */
};

/*
 * Offers the entries of the key, layer by layer, the newest file first within
 * one (several producers may have made one), until the callback stops it: OK.
 * NOT_FOUND when it never did, with the reason of every layer and entry.
 */
udm_status udm_cache_lookup(const struct settings *settings, const struct cache_key *key,
                            unsigned flags, cache_offer_callback offer, void *user_data);

/*
 * Writes an entry into the writable layer, and removes from it what killed
 * processes left behind and, least recently used first, what is over the size
 * limit. path receives where the entry is, for people. CACHE when it could not be
 * done, which costs a later process a compile and nothing else.
 */
udm_status udm_cache_publish(const struct settings *settings, const struct cache_key *key,
                             const void *image, size_t image_size, char path[UDM_PATH_SIZE]);

/* The same for the bytes of a whole entry and its name. */
udm_status udm_cache_publish_entry(const struct settings *settings, const char *name,
                                   const void *bytes, size_t size, char path[UDM_PATH_SIZE]);

/* The path of a layer's file, for people: cut where it is longer than any path. */
void udm_cache_entry_path(const struct cache_layer *layer, const char *name,
                          char path[UDM_PATH_SIZE]);

/* Whether a file's name is that of an entry, "sm_90-*.cubin": other files are not the cache's. */
bool udm_cache_is_entry_name(const char *name);

#endif
