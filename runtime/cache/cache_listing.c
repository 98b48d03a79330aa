/*
 * cache_listing.c: lists a cache folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache/cache_listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/cache.h"
#include "cache/cache_file.h"
#include "cache/cache_lock.h"
#include "core/allocator.h"
#include "core/status.h"

static udm_status add_item(int folder, const char *name, struct cache_listing *listing) {
  struct cache_listing_item item = {.is_entry = udm_cache_is_entry_name(name)};
  if (!item.is_entry && !udm_cache_is_temporary_name(name)) return UDM_OK;
  if (fstatat(folder, name, &item.status, AT_SYMLINK_NOFOLLOW) != 0) return UDM_OK; /* gone */
  if (listing->count == listing->capacity) {
    const size_t capacity = listing->capacity ? 2 * listing->capacity : 32;
    void *items = udm_realloc(listing->items, capacity * sizeof *listing->items);
    if (!items) return udm_fail_memory("a list of cache files", capacity * sizeof *listing->items);
    listing->items = items;
    listing->capacity = capacity;
  }
  item.name = udm_strdup(name);
  if (!item.name) return udm_fail_memory("the name of a cache file", strlen(name) + 1);
  listing->items[listing->count++] = item;
  return UDM_OK;
}

static int least_recently_used_first(const void *a, const void *b) {
  const struct cache_listing_item *x = a;
  const struct cache_listing_item *y = b;
  const int64_t used_x = udm_cache_file_last_used(&x->status);
  const int64_t used_y = udm_cache_file_last_used(&y->status);
  if (used_x != used_y) return used_x < used_y ? -1 : 1;
  return strcmp(x->name, y->name);
}

udm_status udm_cache_list(int folder, struct cache_listing *listing) {
  udm_status status = UDM_OK;
  memset(listing, 0, sizeof *listing);
  const int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *stream = copy >= 0 ? fdopendir(copy) : NULL; /* closedir() closes copy */
  if (!stream) {
    const int error = errno;
    if (copy >= 0) close(copy);
    return udm_fail_errno(UDM_ERROR_CACHE, error, "the cache folder cannot be listed");
  }
  for (struct dirent *entry = readdir(stream); entry && status == UDM_OK; entry = readdir(stream)) {
    status = add_item(folder, entry->d_name, listing);
  }
  closedir(stream);
  if (status != UDM_OK) {
    udm_cache_listing_free(listing);
  } else if (listing->count > 0) {
    qsort(listing->items, listing->count, sizeof *listing->items, least_recently_used_first);
  }
  return status;
}

void udm_cache_listing_free(struct cache_listing *listing) {
  for (size_t i = 0; i < listing->count; ++i) udm_free(listing->items[i].name);
  udm_free(listing->items);
  memset(listing, 0, sizeof *listing);
}

uint64_t udm_cache_listing_bytes(const struct cache_listing *listing) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < listing->count; ++i) {
    const struct cache_listing_item *item = &listing->items[i];
    if (item->is_entry && !item->gone) bytes += (uint64_t)item->status.st_size;
  }
  return bytes;
}

enum { LEFTOVER_SECONDS = 60, LEFTOVER_SECONDS_WITHOUT_LOCKS = 24 * 60 * 60 };

bool udm_cache_is_leftover(int folder, const struct cache_listing_item *item) {
  if (item->is_entry) return false;
  const int64_t age = (int64_t)time(NULL) - (int64_t)item->status.st_mtim.tv_sec;
  /* a date in the future, of a clock that was wrong, tells nothing: then the marks decide */
  if (age > -LEFTOVER_SECONDS && age < LEFTOVER_SECONDS) return false;
  if (age >= LEFTOVER_SECONDS_WITHOUT_LOCKS) return true;
  const int file = openat(folder, item->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return false;
  const enum cache_use use = udm_cache_claim(file);
  close(file);
  return use != CACHE_USE_UNKNOWN;
}
