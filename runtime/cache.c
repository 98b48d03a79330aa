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

/* When there are too many, the oldest gives way. */
static void add_candidate(struct candidates *candidates, int folder, const char *name) {
  struct stat status;
  struct candidate candidate;
  if (strlen(name) >= sizeof candidate.name) return;
  if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return;
  candidate.modified = status.st_mtim;
  snprintf(candidate.name, sizeof candidate.name, "%s", name);
  if (candidates->count < MOST_CANDIDATES) {
    candidates->items[candidates->count++] = candidate;
    return;
  }
  struct candidate *oldest = &candidates->items[0];
  for (int i = 1; i < MOST_CANDIDATES; ++i) {
    if (newest_first(&candidates->items[i], oldest) > 0) oldest = &candidates->items[i];
  }
  if (newest_first(&candidate, oldest) < 0) *oldest = candidate;
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

void udm_cache_entry_path(const struct cache_layer *layer, const char *name,
                          char path[UDM_PATH_SIZE]) {
  const size_t length = strlen(layer->path);
  memcpy(path, layer->path, length + 1);
  if (length + 1 < UDM_PATH_SIZE) {
    snprintf(path + length, UDM_PATH_SIZE - length, "/%s", name);
  }
}

struct lookup {
  const struct settings *settings;
  const struct cache_key *key;
  cache_offer_callback offer;
  void *user_data;
  char reasons[UDM_MESSAGE_SIZE / 4]; /* of every layer and entry that would not do */
};

static void remember_reason(struct lookup *lookup, const char *path, const char *reason) {
  udm_append(lookup->reasons, sizeof lookup->reasons, "%s%s: %s", lookup->reasons[0] ? "; " : "",
             path, reason);
}

/* Returns NULL and fills the view into *bytes, or why the file is not the key's entry. */
static const char *load_entry(const struct cache_layer *layer, int folder, const char *name,
                              const struct cache_key *key, unsigned char **bytes,
                              struct cache_entry_view *view, char reason[UDM_REASON_SIZE]) {
  size_t size = 0;
  const char *problem = udm_cache_file_read(layer, folder, name, bytes, &size, reason);
  if (!problem) problem = udm_cache_entry_decode(*bytes, size, view);
  if (!problem && !udm_cache_entry_matches(view, key)) problem = "an entry of another key";
  return problem;
}

static void evict(const struct settings *settings, int folder, const char *name, const char *path) {
  char text[UDM_ERRNO_TEXT_SIZE];
  const int result = unlinkat(folder, name, 0);
  udm_log(settings, UDM_LOG_WARNING, "cache entry %s is of no use: %s", path,
          result == 0 ? "removed" : udm_errno_text(errno, text));
}

/* Whether the lookup is over. */
static bool offer_entry(struct lookup *lookup, const struct cache_layer *layer, int folder,
                        const char *name) {
  unsigned char *bytes = NULL;
  struct cache_entry_view view;
  enum cache_verdict verdict = CACHE_REFUSED;
  char reason[UDM_REASON_SIZE];
  char path[UDM_PATH_SIZE];
  udm_cache_entry_path(layer, name, path);
  const char *problem = load_entry(layer, folder, name, lookup->key, &bytes, &view, reason);
  if (problem) {
    remember_reason(lookup, path, problem);
    udm_log(lookup->settings, UDM_LOG_WARNING, "cache entry %s is not used: %s", path, problem);
  } else {
    const struct cache_hit hit = {view.image, view.image_size, layer->writable, path};
    udm_log(lookup->settings, UDM_LOG_DEBUG, "cache hit: %s", path);
    verdict = lookup->offer(lookup->user_data, &hit);
    if (verdict == CACHE_REFUSED) {
      remember_reason(lookup, path, udm_last_error());
      if (layer->writable) evict(lookup->settings, folder, name, path);
    }
  }
  free(bytes);
  return verdict == CACHE_STOP;
}

static bool look_in_layer(struct lookup *lookup, const struct cache_layer *layer) {
  char reason[UDM_REASON_SIZE];
  bool missing = false;
  bool over = false;
  struct candidates candidates;
  const int folder = udm_cache_folder_open(layer, false, reason, &missing);
  if (folder < 0) {
    remember_reason(lookup, layer->path[0] ? layer->path : "(none)", reason);
    return false;
  }
  find_candidates(folder, lookup->key, &candidates);
  if (candidates.count == 0) remember_reason(lookup, layer->path, "no entry");
  for (int i = 0; i < candidates.count && !over; ++i) {
    over = offer_entry(lookup, layer, folder, candidates.items[i].name);
  }
  close(folder);
  return over;
}

udm_status udm_cache_lookup(const struct settings *settings, const struct cache_key *key,
                            cache_offer_callback offer, void *user_data) {
  struct lookup lookup = {settings, key, offer, user_data, ""};
  struct cache_layer layer;
  for (int i = 0; udm_cache_layer_at(settings, i, &layer); ++i) {
    if (look_in_layer(&lookup, &layer)) return UDM_OK;
  }
  return udm_fail(UDM_ERROR_NOT_FOUND, "no usable entry for %s: %s", key->label, lookup.reasons);
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
    return udm_fail(UDM_ERROR_CACHE, "cache folder %s: %s; another can be named in UDM_CACHE_DIR",
                    layer.path[0] ? layer.path : "(none)", reason);
  }
  status = udm_cache_entry_encode(key, image, image_size, &bytes, &size);
  if (status == UDM_OK) {
    udm_cache_entry_name(key, name);
    status = udm_cache_file_publish(&layer, folder, name, bytes, size);
  }
  if (status == UDM_OK) udm_cache_entry_path(&layer, name, path);
  free(bytes);
  close(folder);
  return status;
}

void udm_cache_log_layers(const struct settings *settings) {
  struct cache_layer layer;
  char reason[UDM_REASON_SIZE];
  bool missing = false;
  for (int i = 0; udm_cache_layer_at(settings, i, &layer); ++i) {
    const int folder = udm_cache_folder_open(&layer, false, reason, &missing);
    if (folder >= 0) {
      close(folder);
      continue;
    }
    udm_log(settings, missing ? UDM_LOG_DEBUG : UDM_LOG_WARNING, "cache folder %s is not used: %s",
            layer.path, reason);
  }
}
