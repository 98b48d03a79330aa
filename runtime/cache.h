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

struct cache_hit {
  unsigned char *bytes; /* begins with the image; the caller frees it */
  size_t image_size;
  bool writable; /* found in the writable layer */
  char path[UDM_PATH_SIZE];
};

/*
 * Finds an entry of the key, layer by layer. Several producers may have made
 * one: then the newest file wins, unless the key names its producer.
 * NOT_FOUND, with what was looked at and why it would not do, is a miss.
 */
udm_status udm_cache_lookup(const struct settings *settings, const struct cache_key *key,
                            struct cache_hit *hit);

/*
 * Writes an entry into the writable layer; path receives where. CACHE when it
 * could not be done, which costs a later process a compile and nothing else.
 */
udm_status udm_cache_publish(const struct settings *settings, const struct cache_key *key,
                             const void *image, size_t image_size, char path[UDM_PATH_SIZE]);

/* Removes an entry of the writable layer that turned out to be of no use. */
void udm_cache_evict(const struct settings *settings, const char *path);

/* The path of a layer's file, for people; "" when it is too long to be one. */
void udm_cache_entry_path(const struct cache_layer *layer, const char *name,
                          char path[UDM_PATH_SIZE]);

/* Whether a file's name is that of an entry. */
bool udm_cache_is_entry_name(const char *name);

#endif
