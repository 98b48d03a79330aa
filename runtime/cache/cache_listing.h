/*
 * cache_listing.h: the files of a cache folder, by their names and dates: entries
 * and what killed publishers left behind.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CACHE_CACHE_LISTING_H
#define UDM_RUNTIME_CACHE_CACHE_LISTING_H

#include <sys/stat.h>

#include "cache/cache_entry.h"
#include "core/options.h"

struct cache_listing_item {
  char *name;
  struct stat status;
  bool is_entry; /* else a temporary file */
  bool gone;     /* removed since */
  bool in_use;   /* and so could not be */
};

struct cache_listing {
  struct cache_listing_item *items; /* the least recently used first */
  size_t count;
  size_t capacity;
};

/* Lists the open folder. OUT_OF_MEMORY, or CACHE when it cannot be read. The caller frees it. */
udm_status udm_cache_list(int folder, struct cache_listing *listing);
void udm_cache_listing_free(struct cache_listing *listing);

/* The bytes of all entries that are not gone. */
uint64_t udm_cache_listing_bytes(const struct cache_listing *listing);

/*
 * Whether a temporary file is old enough that its publisher can be asked for: a
 * minute (it may not have been marked in use yet), or a day where marks do not
 * work. udm_cache_file_remove() leaves the files of live ones.
 */
bool udm_cache_is_leftover(int folder, const struct cache_listing_item *item);

#endif
