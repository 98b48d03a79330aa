/*
 * cache_evict.c: lists a folder of the cache and keeps the writable one within
 * its size limit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/cache.h"
#include "core/allocator.h"
#include "core/counters.h"

static udm_status add_item(const struct cache_dir *dir, const char *name,
                           struct cache_listing *listing, struct error *error) {
  struct cache_listing_item item = {.is_entry = udm_cache_is_entry_name(name)};
  if (!item.is_entry && !udm_cache_is_temporary_name(name)) return UDM_OK;
  if (fstatat(dir->fd, name, &item.status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return UDM_OK; /* removed just now */
    memset(&item.status, 0, sizeof item.status);
  }
  if (listing->count == listing->capacity) {
    const size_t capacity = listing->capacity ? 2 * listing->capacity : 32;
    const size_t bytes = capacity * sizeof *listing->items;
    void *items = udm_realloc(listing->items, bytes);
    if (!items) return udm_fail_memory(error, "a list of cache files", bytes);
    listing->items = items;
    listing->capacity = capacity;
  }
  item.name = udm_strdup(name);
  if (!item.name) return udm_fail_memory(error, "the name of a cache file", strlen(name) + 1);
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

static udm_status fail_list(const struct cache_dir *dir, int number, struct error *error) {
  return udm_fail_errno(error, UDM_ERROR_CACHE, number, "cache folder %s cannot be listed",
                        dir->path);
}

udm_status udm_cache_list(const struct cache_dir *dir, struct cache_listing *listing,
                          struct error *error) {
  udm_status status = UDM_OK;
  memset(listing, 0, sizeof *listing);
  const int copy = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *stream = copy >= 0 ? fdopendir(copy) : NULL; /* closedir() closes copy */
  if (!stream) {
    const int number = errno;
    if (copy >= 0) close(copy);
    return fail_list(dir, number, error);
  }
  while (status == UDM_OK) {
    errno = 0;
    const struct dirent *entry = readdir(stream);
    if (entry) {
      status = add_item(dir, entry->d_name, listing, error);
    } else if (errno != 0) {
      status = fail_list(dir, errno, error);
    } else {
      break;
    }
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

bool udm_cache_is_leftover(const struct cache_dir *dir, const struct cache_listing_item *item) {
  if (item->is_entry) return false;
  const int64_t age = (int64_t)time(NULL) - (int64_t)item->status.st_mtim.tv_sec;
  /* a date far in the future, set by a wrong clock, says nothing: then the marks decide */
  if (age > -LEFTOVER_SECONDS && age < LEFTOVER_SECONDS) return false;
  if (age >= LEFTOVER_SECONDS_WITHOUT_LOCKS) return true;
  const int file = openat(dir->fd, item->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return false;
  const enum cache_use use = udm_cache_try_exclusive(file);
  close(file);
  return use != CACHE_USE_UNKNOWN;
}

static bool remove_item(const struct settings *settings, const struct cache_dir *dir,
                        struct cache_listing_item *item, const char *why) {
  char text[UDM_REASON_SIZE] = "";
  struct error reason = {text, sizeof text};
  const enum cache_removal outcome =
      udm_cache_file_remove(dir, item->name, &item->status, false, &reason);
  if (outcome == CACHE_REMOVAL_FAILED) {
    udm_log(settings, UDM_LOG_WARNING, "%s/%s could not be removed (%s): %s", dir->path, item->name,
            why, text);
  }
  item->gone = outcome == CACHE_REMOVED;
  if (item->gone) {
    udm_log(settings, UDM_LOG_DEBUG, "%s/%s removed: %s", dir->path, item->name, why);
  }
  return item->gone;
}

/*
 * Removes temporary files of killed writers and files that cannot be entries: an oversized one
 * would otherwise evict every real entry.
 */
static void sweep(const struct settings *settings, const struct cache_dir *dir,
                  struct cache_listing *listing) {
  for (size_t i = 0; i < listing->count; ++i) {
    struct cache_listing_item *item = &listing->items[i];
    if (item->is_entry && udm_cache_file_not_an_entry(&item->status)) {
      if (remove_item(settings, dir, item, "not an entry")) udm_count(repairs);
    } else if (udm_cache_is_leftover(dir, item)) {
      if (remove_item(settings, dir, item, "left behind by a killed process")) {
        udm_count(leftovers_removed);
      }
    }
  }
}

static void evict(const struct settings *settings, const struct cache_dir *dir,
                  struct cache_listing *listing, const char *keep) {
  uint64_t bytes = udm_cache_listing_bytes(listing);
  for (size_t i = 0; i < listing->count && bytes > settings->cache_max_bytes; ++i) {
    struct cache_listing_item *item = &listing->items[i];
    if (!item->is_entry || strcmp(item->name, keep) == 0) continue;
    if (remove_item(settings, dir, item, "size limit, least recently used")) {
      udm_count(evictions);
      bytes -= (uint64_t)item->status.st_size;
    }
  }
}

void udm_cache_evict(const struct settings *settings, const struct cache_dir *dir,
                     const char *keep) {
  struct cache_lock lock = UDM_CACHE_LOCK_INIT;
  struct cache_listing listing;
  char text[UDM_REASON_SIZE] = "";
  struct error reason = {text, sizeof text};
  if (!udm_cache_lock_removals(dir, &lock)) return; /* another process is removing files now */
  if (udm_cache_list(dir, &listing, &reason) == UDM_OK) {
    sweep(settings, dir, &listing);
    if (settings->cache_max_bytes) evict(settings, dir, &listing, keep);
    udm_cache_listing_free(&listing);
  } else {
    udm_log(settings, UDM_LOG_WARNING, "%s", text);
  }
  udm_cache_unlock(&lock);
}
