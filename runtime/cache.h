/*
 * cache.h: the cache of compiled images, as the rest of the library uses it.
 * Trouble in it is a miss and a log line, never a failure. It knows keys and
 * bytes, nothing of CUDA.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CACHE_H
#define UDM_RUNTIME_CACHE_H

#include "cache_entry.h"
#include "cache_folder.h"

/* A whole entry of the key, valid during the call that offers it. */
struct cache_hit {
  const unsigned char *image;
  size_t image_size;
  bool writable;    /* of the writable layer */
  const char *path; /* for people */
};

enum cache_verdict {
  CACHE_STOP,   /* taken, or no other one is wanted */
  CACHE_REFUSED /* of no use to anybody: remove it if that is possible, offer the next */
};

typedef enum cache_verdict (*cache_offer_callback)(void *user_data, const struct cache_hit *hit);

/*
 * Offers the entries of the key, layer by layer, the newest file first within
 * one (several producers may have made one), until the callback stops it: OK.
 * NOT_FOUND when it never did, with the reason of every layer and entry.
 */
udm_status udm_cache_lookup(const struct settings *settings, const struct cache_key *key,
                            cache_offer_callback offer, void *user_data);

/*
 * Writes an entry into the writable layer; path receives where, for people.
 * CACHE when it could not be done, which costs a later process a compile and
 * nothing else.
 */
udm_status udm_cache_publish(const struct settings *settings, const struct cache_key *key,
                             const void *image, size_t image_size, char path[UDM_PATH_SIZE]);

/* Logs the layers that cannot be used, and why. */
void udm_cache_log_layers(const struct settings *settings);

/* The path of a layer's file, for people: cut where it is longer than any path. */
void udm_cache_entry_path(const struct cache_layer *layer, const char *name,
                          char path[UDM_PATH_SIZE]);

/* Whether a file's name is that of an entry. */
bool udm_cache_is_entry_name(const char *name);

#endif
