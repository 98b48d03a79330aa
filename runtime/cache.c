/*
 * cache.c: looks entries up, publishes and evicts them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache_file.h"
#include "log.h"
#include "status.h"

static bool ends_with(const char *text, const char *ending) {
  const size_t length = strlen(text);
  return length >= strlen(ending) && strcmp(text + length - strlen(ending), ending) == 0;
}

bool udm_cache_is_entry_name(const char *name) {
  return name[0] != '.' && ends_with(name, ".cubin");
}

/* More builds of NVRTC than this, for one architecture in one folder, are not looked at. */
enum { MOST_CANDIDATES = 32 };

struct candidates {
  int count;
  struct candidate {
    struct timespec modified;
    char name[UDM_CACHE_NAME_SIZE];
  } items[MOST_CANDIDATES];
};

static int newest_first(const void *a, const void *b) {
  const struct timespec *x = &((const struct candidate *)a)->modified;
  const struct timespec *y = &((const struct candidate *)b)->modified;
  if (x->tv_sec != y->tv_sec) return x->tv_sec < y->tv_sec ? 1 : -1;
  if (x->tv_nsec != y->tv_nsec) return x->tv_nsec < y->tv_nsec ? 1 : -1;
  return 0;
}

static void add_candidate(struct candidates *candidates, int folder, const char *name) {
  struct stat status;
  if (candidates->count == MOST_CANDIDATES || strlen(name) >= UDM_CACHE_NAME_SIZE) return;
  if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return;
  struct candidate *candidate = &candidates->items[candidates->count++];
  candidate->modified = status.st_mtim;
  snprintf(candidate->name, sizeof candidate->name, "%s", name);
}

/* The files of the folder that may hold the key's entry, by their names. */
static void find_candidates(int folder, const struct cache_key *key,
                            struct candidates *candidates) {
  char wanted[UDM_CACHE_NAME_SIZE];
  candidates->count = 0;
  if (key->producer) {
    udm_cache_entry_name(key, wanted);
    add_candidate(candidates, folder, wanted);
    return;
  }
  udm_cache_entry_prefix(key, wanted);
  const int copy = fcntl(folder, F_DUPFD_CLOEXEC, 0); /* closedir() closes it */
  DIR *listing = copy >= 0 ? fdopendir(copy) : NULL;
  if (!listing) {
    if (copy >= 0) close(copy);
    return;
  }
  for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
    if (strncmp(entry->d_name, wanted, strlen(wanted)) == 0 &&
        udm_cache_is_entry_name(entry->d_name)) {
      add_candidate(candidates, folder, entry->d_name);
    }
  }
  closedir(listing);
  qsort(candidates->items, (size_t)candidates->count, sizeof candidates->items[0], newest_first);
}

/* Returns NULL and fills the hit, or why the file is not the key's entry. */
static const char *load_entry(int folder, const char *name, const struct cache_key *key,
                              struct cache_hit *hit, char reason[UDM_REASON_SIZE]) {
  unsigned char *bytes = NULL;
  size_t size = 0;
  struct cache_entry_view view;
  const char *problem = udm_cache_file_read(folder, name, &bytes, &size, reason);
  if (!problem) problem = udm_cache_entry_decode(bytes, size, &view);
  if (!problem && !udm_cache_entry_matches(&view, key)) problem = "an entry of another key";
  if (problem) {
    free(bytes);
    return problem;
  }
  hit->bytes = bytes;
  hit->image_size = view.image_size;
  return NULL;
}

void udm_cache_entry_path(const struct cache_layer *layer, const char *name,
                          char path[UDM_PATH_SIZE]) {
  const int length = snprintf(path, UDM_PATH_SIZE, "%s/%s", layer->path, name);
  if (length < 0 || length >= UDM_PATH_SIZE) path[0] = '\0';
}

static bool lookup_in_layer(const struct settings *settings, const struct cache_layer *layer,
                            const struct cache_key *key, struct cache_hit *hit) {
  char reason[UDM_REASON_SIZE];
  bool missing = false;
  bool found = false;
  struct candidates candidates;
  const int folder = udm_cache_folder_open(layer, false, reason, &missing);
  if (folder < 0) {
    udm_log(settings, missing ? UDM_LOG_DEBUG : UDM_LOG_WARNING, "cache folder %s is not used: %s",
            layer->path, reason);
    return false;
  }
  find_candidates(folder, key, &candidates);
  for (int i = 0; i < candidates.count && !found; ++i) {
    const char *name = candidates.items[i].name;
    const char *problem = load_entry(folder, name, key, hit, reason);
    if (problem) {
      udm_log(settings, UDM_LOG_WARNING, "cache entry %s/%s is not used: %s", layer->path, name,
              problem);
      continue;
    }
    hit->writable = layer->writable;
    udm_cache_entry_path(layer, name, hit->path);
    found = true;
  }
  close(folder);
  return found;
}

udm_status udm_cache_lookup(const struct settings *settings, const struct cache_key *key,
                            struct cache_hit *hit) {
  struct cache_layer layer;
  int index = 0;
  for (; udm_cache_layer_at(settings, index, &layer); ++index) {
    if (lookup_in_layer(settings, &layer, key, hit)) {
      udm_log(settings, UDM_LOG_DEBUG, "cache hit: %s", hit->path);
      return UDM_OK;
    }
  }
  udm_cache_layer_at(settings, 0, &layer);
  return udm_fail(UDM_ERROR_NOT_FOUND, "no usable entry for %s in %s%s", key->label,
                  layer.path[0] ? layer.path : "(no cache folder)",
                  index > 1 ? " and the read-only layers" : "");
}

udm_status udm_cache_publish(const struct settings *settings, const struct cache_key *key,
                             const void *image, size_t image_size, char path[UDM_PATH_SIZE]) {
  struct cache_layer layer;
  char reason[UDM_REASON_SIZE];
  char name[UDM_CACHE_NAME_SIZE];
  bool missing = false;
  unsigned char *bytes = NULL;
  size_t size = 0;
  udm_status status = UDM_OK;
  udm_cache_layer_at(settings, 0, &layer);
  const int folder = udm_cache_folder_open(&layer, true, reason, &missing);
  if (folder < 0) {
    return udm_fail(UDM_ERROR_CACHE, "cache folder %s: %s: name another in UDM_CACHE_DIR",
                    layer.path[0] ? layer.path : "(none)", reason);
  }
  status = udm_cache_entry_encode(key, image, image_size, &bytes, &size);
  if (status == UDM_OK) {
    udm_cache_entry_name(key, name);
    status = udm_cache_file_publish(folder, name, bytes, size);
  }
  if (status == UDM_OK) udm_cache_entry_path(&layer, name, path);
  free(bytes);
  close(folder);
  return status;
}

void udm_cache_evict(const struct settings *settings, const char *path) {
  const int result = unlink(path);
  udm_log(settings, UDM_LOG_WARNING, "cache entry %s was %s", path,
          result == 0 ? "removed" : strerror(errno));
}
