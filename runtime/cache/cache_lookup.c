/*
 * cache_lookup.c: walks the layers and their files for the entries of a key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/cache.h"
#include "core/allocator.h"
#include "core/counters.h"

/* If a folder has more entries of a key than this, from as many producers, the oldest are ignored.
 */
enum { MAX_CANDIDATES = 32 };

struct candidate {
  struct timespec modified;
  char name[UDM_CACHE_NAME_SIZE];
};

struct cache_lookup {
  const struct settings *settings;
  const struct cache_key *key;
  unsigned flags;
  int next_layer;
  struct cache_dir dir; /* the layer that is being searched; fd < 0 between layers */
  int candidate_count;
  int next_candidate;
  struct candidate candidates[MAX_CANDIDATES];
  struct cache_file file;   /* the file of the last hit */
  char path[UDM_PATH_SIZE]; /* its path */
  bool exhausted;
  bool accepted;
  bool no_memory; /* the search ended there: memory_text says for what */
  char memory_text[UDM_REASON_SIZE];
  enum cache_miss miss;
  char reasons[UDM_MESSAGE_SIZE / 4]; /* why each layer and entry cannot be used */
};

static int newest_first(const void *a, const void *b) {
  const struct timespec *x = &((const struct candidate *)a)->modified;
  const struct timespec *y = &((const struct candidate *)b)->modified;
  if (x->tv_sec != y->tv_sec) return x->tv_sec < y->tv_sec ? 1 : -1;
  if (x->tv_nsec != y->tv_nsec) return x->tv_nsec < y->tv_nsec ? 1 : -1;
  return 0;
}

/* Returns 0 or an errno. If there are too many, the oldest is dropped. */
static int add_candidate(struct cache_lookup *lookup, const char *name) {
  struct stat status;
  struct candidate candidate;
  if (strlen(name) >= sizeof candidate.name) return 0;
  if (fstatat(lookup->dir.fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? 0 : errno;
  }
  candidate.modified = status.st_mtim;
  candidate.modified.tv_sec = udm_cache_sane_mtime(status.st_mtim.tv_sec);
  snprintf(candidate.name, sizeof candidate.name, "%s", name);
  if (lookup->candidate_count < MAX_CANDIDATES) {
    lookup->candidates[lookup->candidate_count++] = candidate;
    return 0;
  }
  struct candidate *oldest = &lookup->candidates[0];
  for (int i = 1; i < MAX_CANDIDATES; ++i) {
    if (newest_first(&lookup->candidates[i], oldest) > 0) oldest = &lookup->candidates[i];
  }
  if (newest_first(&candidate, oldest) < 0) *oldest = candidate;
  return 0;
}

/*
 * Finds, by their names, the files of the open folder that may hold the key's entry. Returns 0, or
 * the errno because of which it may have missed some.
 */
static int find_candidates(struct cache_lookup *lookup) {
  char wanted[UDM_CACHE_NAME_SIZE];
  int missed = 0;
  lookup->candidate_count = 0;
  lookup->next_candidate = 0;
  if (lookup->key->producer) {
    udm_cache_entry_name(lookup->key, wanted);
    return add_candidate(lookup, wanted);
  }
  udm_cache_entry_prefix(lookup->key, wanted);
  const int copy = fcntl(lookup->dir.fd, F_DUPFD_CLOEXEC, 0); /* closedir() closes it */
  DIR *listing = copy >= 0 ? fdopendir(copy) : NULL;
  if (!listing) {
    missed = errno;
    if (copy >= 0) close(copy);
    return missed;
  }
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(listing);
    if (!entry) break;
    if (strncmp(entry->d_name, wanted, strlen(wanted)) != 0) continue;
    if (!udm_cache_is_entry_name(entry->d_name)) continue;
    const int number = add_candidate(lookup, entry->d_name);
    if (number) missed = number;
  }
  if (errno) missed = errno;
  closedir(listing);
  qsort(lookup->candidates, (size_t)lookup->candidate_count, sizeof lookup->candidates[0],
        newest_first);
  return missed;
}

static void keep_reason(struct cache_lookup *lookup, const char *path, const char *reason) {
  udm_append(lookup->reasons, sizeof lookup->reasons, "%s%s: %s", lookup->reasons[0] ? "; " : "",
             path, reason);
}

/* A lookup counts as one miss: the one that came closest to a hit. */
static void keep_miss(struct cache_lookup *lookup, enum cache_miss miss) {
  if (miss > lookup->miss) lookup->miss = miss;
}

static void count_miss(enum cache_miss miss) {
  switch (miss) {
    case CACHE_MISS_NO_ENTRY:
      udm_count(misses_no_entry);
      break;
    case CACHE_MISS_DAMAGED:
      udm_count(misses_damaged);
      break;
    case CACHE_MISS_WRONG_ARCH:
      udm_count(misses_wrong_arch);
      break;
    case CACHE_MISS_REJECTED:
      udm_count(misses_refused);
      break;
  }
}

/* Removes the current file, which cannot be used, from the writable layer. */
static void repair(const struct cache_lookup *lookup) {
  const struct cache_file *file = &lookup->file;
  const char *name = lookup->candidates[lookup->next_candidate - 1].name;
  if (!lookup->dir.writable || !(lookup->flags & CACHE_LOOKUP_REPAIR)) return;
  /* a file that could not be read just now may be a good one */
  if (!file->bytes && !udm_cache_file_not_an_entry(&file->status)) return;
  char text[UDM_REASON_SIZE] = "";
  struct error reason = {text, sizeof text};
  const char *outcome = "another process uses it or has replaced it";
  switch (udm_cache_file_remove(&lookup->dir, name, &file->status, false, &reason)) {
    case CACHE_REMOVED:
      udm_count(repairs);
      outcome = S_ISDIR(file->status.st_mode)
                    ? "it is a folder; it was removed or, if not empty, renamed to end in "
                      ".folder-<inode>"
                    : "removed";
      break;
    case CACHE_REMOVAL_FAILED:
      outcome = text;
      break;
    case CACHE_REMOVAL_IN_USE:
    case CACHE_REMOVAL_REPLACED:
      break;
  }
  udm_log(lookup->settings, UDM_LOG_WARNING, "cache entry %s cannot be used: %s", lookup->path,
          outcome);
}

/* Not a miss: the entry may be there and good. */
static void stop_for_memory(struct cache_lookup *lookup, const char *text) {
  lookup->no_memory = true;
  snprintf(lookup->memory_text, sizeof lookup->memory_text, "%s", text);
}

static void search_layer(struct cache_lookup *lookup) {
  char text[UDM_ERRNO_TEXT_SIZE];
  const int number = find_candidates(lookup);
  if (number == ENOMEM) {
    stop_for_memory(lookup, "malloc: no host memory for the names in a cache folder");
    return;
  }
  if (number == 0) {
    if (lookup->candidate_count == 0) keep_reason(lookup, lookup->dir.path, "no entry");
    return;
  }
  const char *reason = udm_errno_text(number, text);
  keep_reason(lookup, lookup->dir.path, reason);
  if (lookup->flags & CACHE_LOOKUP_FIRST) {
    udm_log(lookup->settings, UDM_LOG_WARNING, "cache folder %s cannot be searched: %s",
            lookup->dir.path, reason);
  }
}

/* Opens the next layer and finds its candidates. Returns false past the last layer. */
static bool open_next_layer(struct cache_lookup *lookup) {
  char text[UDM_REASON_SIZE] = "";
  struct error reason = {text, sizeof text};
  udm_cache_dir_close(&lookup->dir);
  if (!udm_cache_dir_at(lookup->settings, lookup->next_layer, &lookup->dir)) return false;
  ++lookup->next_layer;
  lookup->candidate_count = 0;
  lookup->next_candidate = 0;
  const udm_status status = udm_cache_dir_open(&lookup->dir, false, &reason);
  if (status == UDM_OK) {
    search_layer(lookup);
    return true;
  }
  if (status == UDM_ERROR_OUT_OF_MEMORY) {
    stop_for_memory(lookup, text);
    return true;
  }
  keep_reason(lookup, udm_cache_dir_name(&lookup->dir), text);
  if (lookup->flags & CACHE_LOOKUP_FIRST) {
    /* in strict mode nothing would be written, so nobody misses a folder that was never named */
    const bool is_missed =
        status != UDM_ERROR_NOT_FOUND && (lookup->dir.path[0] || !lookup->settings->cached_only);
    udm_log(lookup->settings, is_missed ? UDM_LOG_WARNING : UDM_LOG_DEBUG,
            "cache folder %s is not used: %s", udm_cache_dir_name(&lookup->dir), text);
  }
  return true;
}

/* Reads a file and fills the view into it. CACHE if it is not a whole entry of the key. */
static udm_status read_entry(struct cache_lookup *lookup, const char *name,
                             struct cache_entry_view *view, struct error *error) {
  struct cache_file *file = &lookup->file;
  udm_status status = udm_cache_file_read(&lookup->dir, name, file, error);
  if (status == UDM_OK) status = udm_cache_entry_decode(file->bytes, file->size, view, error);
  if (status != UDM_OK || udm_cache_entry_matches(view, lookup->key)) return status;
  return udm_fail(error, UDM_ERROR_CACHE, "an entry of another key");
}

/* Reads the next candidate. True if it is a whole entry of the key. */
static bool read_candidate(struct cache_lookup *lookup, struct cache_hit *hit) {
  const char *name = lookup->candidates[lookup->next_candidate++].name;
  struct cache_entry_view view;
  char text[UDM_REASON_SIZE] = "";
  struct error reason = {text, sizeof text};
  udm_cache_dir_file_path(&lookup->dir, name, lookup->path);
  const udm_status status = read_entry(lookup, name, &view, &reason);
  if (status == UDM_OK) {
    *hit = (struct cache_hit){.image = view.image,
                              .image_size = view.image_size,
                              .writable = lookup->dir.writable,
                              .path = lookup->path};
    snprintf(hit->producer, sizeof hit->producer, "%.*s", (int)view.producer_size, view.producer);
    udm_log(lookup->settings, UDM_LOG_DEBUG, "cache hit: %s", lookup->path);
    return true;
  }
  if (status == UDM_ERROR_OUT_OF_MEMORY) {
    stop_for_memory(lookup, text);
    return false;
  }
  if (lookup->file.missing) {
    keep_reason(lookup, lookup->path, "removed by another process just now");
    return false;
  }
  keep_reason(lookup, lookup->path, text);
  keep_miss(lookup, CACHE_MISS_DAMAGED);
  udm_log(lookup->settings, UDM_LOG_WARNING, "cache entry %s is not used: %s", lookup->path, text);
  repair(lookup);
  return false;
}

static void forget_file(struct cache_lookup *lookup) {
  udm_free(lookup->file.bytes);
  memset(&lookup->file, 0, sizeof lookup->file);
}

udm_status udm_cache_lookup_begin(const struct settings *settings, const struct cache_key *key,
                                  unsigned flags, struct cache_lookup **lookup,
                                  struct error *error) {
  *lookup = udm_calloc(1, sizeof **lookup);
  if (!*lookup) return udm_fail_memory(error, "a cache lookup", sizeof **lookup);
  (*lookup)->settings = settings;
  (*lookup)->key = key;
  (*lookup)->flags = flags;
  (*lookup)->dir.fd = -1;
  return UDM_OK;
}

bool udm_cache_lookup_next(struct cache_lookup *lookup, struct cache_hit *hit) {
  forget_file(lookup);
  do {
    while (!lookup->no_memory && lookup->next_candidate < lookup->candidate_count) {
      if (read_candidate(lookup, hit)) return true;
      forget_file(lookup);
    }
  } while (!lookup->no_memory && open_next_layer(lookup));
  lookup->exhausted = !lookup->no_memory;
  return false;
}

void udm_cache_lookup_accept(struct cache_lookup *lookup) {
  lookup->accepted = true;
  if (!lookup->dir.writable) {
    udm_count(hits_read_only);
    return;
  }
  udm_count(hits_writable);
  if (lookup->flags & CACHE_LOOKUP_REPAIR) {
    udm_cache_file_touch(&lookup->dir, lookup->candidates[lookup->next_candidate - 1].name,
                         &lookup->file.status);
  }
}

void udm_cache_lookup_reject(struct cache_lookup *lookup, enum cache_miss miss,
                             const char *reason) {
  keep_reason(lookup, lookup->path, reason);
  keep_miss(lookup, miss);
  repair(lookup);
}

void udm_cache_lookup_pass_over(struct cache_lookup *lookup, const char *reason) {
  keep_reason(lookup, lookup->path, reason);
  keep_miss(lookup, CACHE_MISS_REJECTED);
}

udm_status udm_cache_lookup_end(struct cache_lookup *lookup, struct error *error) {
  udm_status status = UDM_OK;
  if (!lookup) return status;
  if (lookup->no_memory) {
    status = udm_fail(error, UDM_ERROR_OUT_OF_MEMORY, "%s", lookup->memory_text);
  } else if (!lookup->accepted) {
    if (lookup->exhausted && (lookup->flags & CACHE_LOOKUP_FIRST)) count_miss(lookup->miss);
    status = udm_fail(error, UDM_ERROR_NOT_FOUND, "no usable entry for %s: %s",
                      lookup->key->arch_name, lookup->reasons);
  }
  forget_file(lookup);
  udm_cache_dir_close(&lookup->dir);
  udm_free(lookup);
  return status;
}
