/*
 * cache_evict.c: sweeps leftovers and keeps the size limit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache/cache_evict.h"

#include <errno.h>
#include <string.h>

#include "cache/cache_counters.h"
#include "cache/cache_file.h"
#include "cache/cache_listing.h"
#include "cache/cache_lock.h"
#include "core/log.h"
#include "core/status.h"

static bool remove_item(const struct settings *settings, const struct cache_layer *layer,
                        int folder, struct cache_listing_item *item, const char *why) {
  const enum cache_removal outcome =
      udm_cache_file_remove(folder, item->name, &item->status, false);
  if (outcome == CACHE_REMOVAL_FAILED) {
    char text[UDM_ERRNO_TEXT_SIZE];
    udm_log(settings, UDM_LOG_WARNING, "%s/%s could not be removed (%s): %s", layer->path,
            item->name, why, udm_errno_text(errno, text));
  }
  item->gone = outcome == CACHE_REMOVED;
  if (item->gone)
    udm_log(settings, UDM_LOG_DEBUG, "%s/%s removed: %s", layer->path, item->name, why);
  return item->gone;
}

/* What killed publishers left, and what can be no entry: a giant would push out all that are. */
static void sweep(const struct settings *settings, const struct cache_layer *layer, int folder,
                  struct cache_listing *listing) {
  for (size_t i = 0; i < listing->count; ++i) {
    struct cache_listing_item *item = &listing->items[i];
    if (item->is_entry && udm_cache_file_is_no_entry(&item->status)) {
      if (remove_item(settings, layer, folder, item, "no entry")) udm_count(repairs);
    } else if (udm_cache_is_leftover(folder, item)) {
      if (remove_item(settings, layer, folder, item, "left behind by a killed process")) {
        udm_count(leftovers_removed);
      }
    }
  }
}

static void keep_limit(const struct settings *settings, const struct cache_layer *layer, int folder,
                       struct cache_listing *listing, const char *published) {
  uint64_t bytes = udm_cache_listing_bytes(listing);
  for (size_t i = 0; i < listing->count && bytes > settings->cache_max_bytes; ++i) {
    struct cache_listing_item *item = &listing->items[i];
    if (!item->is_entry || strcmp(item->name, published) == 0) continue;
    if (remove_item(settings, layer, folder, item, "size limit, least recently used")) {
      udm_count(evictions);
      bytes -= (uint64_t)item->status.st_size;
    }
  }
}

void udm_cache_evict(const struct settings *settings, const struct cache_layer *layer, int folder,
                     const char *published) {
  struct cache_lock lock = UDM_CACHE_LOCK_INIT;
  struct cache_listing listing;
  if (!udm_cache_lock_removals(folder, &lock)) return; /* another one is at it */
  if (udm_cache_list(folder, &listing) == UDM_OK) {
    sweep(settings, layer, folder, &listing);
    if (settings->cache_max_bytes) keep_limit(settings, layer, folder, &listing, published);
    udm_cache_listing_free(&listing);
  } else {
    udm_log(settings, UDM_LOG_WARNING, "%s: %s", layer->path, udm_last_error());
  }
  udm_cache_unlock(&lock);
}
