/*
 * cache.c: looks entries up.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/cache_counters.h"
#include "cache/cache_file.h"
#include "core/allocator.h"
#include "core/log.h"
#include "core/status.h"

static bool ends_with(const char *text, const char *ending) {
  const size_t length = strlen(text);
  return length >= strlen(ending) && strcmp(text + length - strlen(ending), ending) == 0;
}

bool udm_cache_is_entry_name(const char *name) {
  if (strncmp(name, "sm_", 3) != 0) return false; /* not a cubin that somebody else keeps there */
  const size_t digits = strspn(name + 3, "0123456789");
  return digits > 0 && name[3 + digits] == '-' && ends_with(name, ".cubin");
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
  candidate.modified.tv_sec = udm_cache_believable_date(status.st_mtim.tv_sec);
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

/* Why a look-up finds nothing, from the least to the most that was there. */
enum miss { MISS_NO_ENTRY, MISS_DAMAGED, MISS_WRONG_ARCH, MISS_REFUSED };

struct lookup {
  const struct settings *settings;
  const struct cache_key *key;
  unsigned flags;
  cache_offer_callback offer;
  void *user_data;
  enum miss miss;
  char reasons[UDM_MESSAGE_SIZE / 4]; /* of every layer and entry that would not do */
};

static void remember_reason(struct lookup *lookup, const char *path, const char *reason) {
  udm_append(lookup->reasons, sizeof lookup->reasons, "%s%s: %s", lookup->reasons[0] ? "; " : "",
             path, reason);
}

static void remember_miss(struct lookup *lookup, enum miss miss) {
  if (miss > lookup->miss) lookup->miss = miss;
}

static void count_miss(enum miss miss) {
  switch (miss) {
    case MISS_NO_ENTRY:
      udm_count(misses_no_entry);
      break;
    case MISS_DAMAGED:
      udm_count(misses_damaged);
      break;
    case MISS_WRONG_ARCH:
      udm_count(misses_wrong_arch);
      break;
    case MISS_REFUSED:
      udm_count(misses_refused);
      break;
  }
}

/* Returns NULL and fills the view into file->bytes, or why the file is not the key's entry. */
static const char *load_entry(const struct cache_layer *layer, int folder, const char *name,
                              const struct cache_key *key, struct cache_file *file,
                              struct cache_entry_view *view, char reason[UDM_REASON_SIZE]) {
  const char *problem = udm_cache_file_read(layer, folder, name, file, reason);
  if (!problem) problem = udm_cache_entry_decode(file->bytes, file->size, view);
  if (!problem && !udm_cache_entry_matches(view, key)) problem = "an entry of another key";
  return problem;
}

/* Not a file that could not be read just now: it may be a good one. */
static void repair(const struct lookup *lookup, const struct cache_layer *layer, int folder,
                   const char *name, const struct cache_file *file, const char *path) {
  if (!layer->writable || !(lookup->flags & CACHE_LOOKUP_REPAIR)) return;
  if (!file->bytes && !udm_cache_file_is_no_entry(&file->status)) return;
  char text[UDM_ERRNO_TEXT_SIZE];
  const char *outcome = "another process uses it or has replaced it";
  switch (udm_cache_file_remove(folder, name, &file->status, false)) {
    case CACHE_REMOVED:
      udm_count(repairs);
      outcome = S_ISDIR(file->status.st_mode)
                    ? "a folder, removed, or when not empty renamed to end in .folder-<inode>"
                    : "removed";
      break;
    case CACHE_REMOVAL_FAILED:
      outcome = udm_errno_text(errno, text);
      break;
    case CACHE_REMOVAL_IN_USE:
    case CACHE_REMOVAL_REPLACED:
      break;
  }
  udm_log(lookup->settings, UDM_LOG_WARNING, "cache entry %s is of no use: %s", path, outcome);
}

/* A plan is no use of the entry. */
static void note_hit(const struct lookup *lookup, const struct cache_layer *layer, int folder,
                     const char *name, const struct stat *status) {
  if (!layer->writable) {
    udm_count(hits_read_only);
    return;
  }
  udm_count(hits_writable);
  if (lookup->flags & CACHE_LOOKUP_REPAIR) udm_cache_file_touch(folder, name, status);
}

/* An entry that is whole; what the callback says of it decides. */
static bool offer_whole_entry(struct lookup *lookup, const struct cache_layer *layer, int folder,
                              const char *name, const struct cache_file *file,
                              const struct cache_hit *hit) {
  udm_log(lookup->settings, UDM_LOG_DEBUG, "cache hit: %s", hit->path);
  const enum cache_verdict verdict = lookup->offer(lookup->user_data, hit);
  if (verdict == CACHE_STOP) note_hit(lookup, layer, folder, name, &file->status);
  if (verdict == CACHE_STOP || verdict == CACHE_GIVE_UP) return true;
  remember_reason(lookup, hit->path, udm_last_error());
  remember_miss(lookup, verdict == CACHE_WRONG_ARCH ? MISS_WRONG_ARCH : MISS_REFUSED);
  repair(lookup, layer, folder, name, file, hit->path);
  return false;
}

/* Whether the lookup is over. */
static bool offer_entry(struct lookup *lookup, const struct cache_layer *layer, int folder,
                        const char *name) {
  struct cache_file file;
  struct cache_entry_view view;
  bool over = false;
  char reason[UDM_REASON_SIZE];
  char path[UDM_PATH_SIZE];
  udm_cache_entry_path(layer, name, path);
  const char *problem = load_entry(layer, folder, name, lookup->key, &file, &view, reason);
  if (file.missing) {
    remember_reason(lookup, path, "removed by another process just now");
  } else if (problem) {
    remember_reason(lookup, path, problem);
    remember_miss(lookup, MISS_DAMAGED);
    udm_log(lookup->settings, UDM_LOG_WARNING, "cache entry %s is not used: %s", path, problem);
    repair(lookup, layer, folder, name, &file, path);
  } else {
    const struct cache_hit hit = {view.image, view.image_size, layer->writable, path};
    over = offer_whole_entry(lookup, layer, folder, name, &file, &hit);
  }
  udm_free(file.bytes);
  return over;
}

static bool look_in_layer(struct lookup *lookup, const struct cache_layer *layer) {
  char reason[UDM_REASON_SIZE];
  bool missing = false;
  bool over = false;
  struct candidates candidates;
  const int folder = udm_cache_folder_open(layer, false, reason, &missing);
  if (folder < 0) {
    remember_reason(lookup, layer->path[0] ? layer->path : "(none)", reason);
    if (lookup->flags & CACHE_LOOKUP_FIRST) {
      udm_log(lookup->settings, missing ? UDM_LOG_DEBUG : UDM_LOG_WARNING,
              "cache folder %s is not used: %s", layer->path, reason);
    }
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
                            unsigned flags, cache_offer_callback offer, void *user_data) {
  struct lookup lookup = {settings, key, flags, offer, user_data, MISS_NO_ENTRY, ""};
  struct cache_layer layer;
  for (int i = 0; udm_cache_layer_at(settings, i, &layer); ++i) {
    if (look_in_layer(&lookup, &layer)) return UDM_OK;
  }
  if (flags & CACHE_LOOKUP_FIRST) count_miss(lookup.miss);
  return udm_fail(UDM_ERROR_NOT_FOUND, "no usable entry for %s: %s", key->label, lookup.reasons);
}
