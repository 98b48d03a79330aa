/*
 * cache_prune.c: the public function that removes entries by rules.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/cache.h"
#include "core/allocator.h"
#include "core/counters.h"
#include "core/status.h"
#include "core/struct_size.h"
#include "image/cache_entry_validate.h"

/* What udm_cache_prune() works with: too large for a stack frame. */
struct pruning {
  const udm_cache_prune_options *rules;
  uint64_t max_bytes; /* 0: no limit */
  udm_cache_removal_callback callback;
  void *user_data;
  struct cache_dir dir;
  struct cache_lock lock; /* of removals; not held in a dry run, nor during the callback */
  struct cache_listing listing;
  int32_t *archs;           /* per item of the listing */
  char path[UDM_PATH_SIZE]; /* of the item that is reported */
  int32_t removed;
  uint64_t removed_bytes;
  bool stop; /* the callback said so */
  udm_status status;
};

static bool is_dry_run(const struct pruning *pruning) {
  return (pruning->rules->flags & UDM_CACHE_PRUNE_DRY_RUN) != 0;
}

/* Two at once would count the same files; removing a file twice does no harm. */
static void take_lock(struct pruning *pruning) {
  if (!is_dry_run(pruning)) udm_cache_lock_removals(&pruning->dir, &pruning->lock);
}

static void report(struct pruning *pruning, size_t index, const char *reason, bool in_use) {
  const struct cache_listing_item *item = &pruning->listing.items[index];
  if (!pruning->callback) return;
  udm_cache_dir_file_path(&pruning->dir, item->name, pruning->path);
  const udm_cache_removal removal = {
      .struct_size = sizeof removal,
      .arch = pruning->archs[index],
      .in_use = in_use,
      .bytes = (uint64_t)item->status.st_size,
      .path = pruning->path,
      .reason = reason,
  };
  const struct host_allocator ours = udm_allocator_in_use();
  udm_cache_unlock(&pruning->lock); /* the callback may throw or jump */
  pruning->stop = pruning->callback(pruning->user_data, &removal) != 0;
  udm_allocator_use(&ours); /* the callback may have called udm with other options */
  take_lock(pruning);
}

/* Returns true if the item is gone, or in a dry run would be. */
static bool remove_item(struct pruning *pruning, size_t index, const char *reason,
                        struct error *error) {
  struct cache_listing_item *item = &pruning->listing.items[index];
  char text[UDM_REASON_SIZE] = "";
  struct error why = {text, sizeof text};
  switch (
      udm_cache_file_remove(&pruning->dir, item->name, &item->status, is_dry_run(pruning), &why)) {
    case CACHE_REMOVED:
      item->gone = true;
      ++pruning->removed;
      pruning->removed_bytes += (uint64_t)item->status.st_size;
      report(pruning, index, reason, false);
      return true;
    case CACHE_REMOVAL_IN_USE:
      if (!item->in_use) report(pruning, index, reason, true);
      item->in_use = true;
      return false;
    case CACHE_REMOVAL_REPLACED:
      return false;
    case CACHE_REMOVAL_FAILED:
      pruning->status = udm_fail(error, UDM_ERROR_CACHE, "%s/%s could not be removed: %s",
                                 pruning->dir.path, item->name, text);
      return false;
  }
  return false;
}

static bool is_kept_arch(const udm_cache_prune_options *rules, int32_t arch) {
  for (int32_t i = 0; i < rules->keep_arch_count; ++i) {
    if (rules->keep_archs[i] == arch) return true;
  }
  return rules->keep_arch_count == 0;
}

/* Returns the first rule that removes the item, in words, or NULL. */
static const char *reason_to_remove(const struct pruning *pruning, size_t index) {
  struct cache_listing_item *item = &pruning->listing.items[index];
  const udm_cache_prune_options *rules = pruning->rules;
  struct validated_file file;
  if (!item->is_entry) {
    return udm_cache_is_leftover(&pruning->dir, item) ? "left behind by a killed process" : NULL;
  }
  udm_cache_file_validate(&pruning->dir, item->name, &file);
  udm_free(file.file.bytes);
  pruning->archs[index] = file.arch;
  if (rules->flags & UDM_CACHE_PRUNE_ALL) return "all entries";
  if (file.no_memory) return NULL;
  if (file.state == UDM_CACHE_ENTRY_BAD) return "damaged or foreign";
  if (!is_kept_arch(rules, file.arch)) return "architecture not kept";
  const int64_t used = udm_cache_file_last_used(&item->status);
  if (rules->older_than_seconds < 0 || used == 0) return NULL; /* 0: not known, so not old */
  return (int64_t)time(NULL) - used >= rules->older_than_seconds ? "not used lately" : NULL;
}

static void remove_by_rules(struct pruning *pruning, struct error *error) {
  for (size_t i = 0; i < pruning->listing.count && !pruning->stop; ++i) {
    const char *reason = reason_to_remove(pruning, i);
    if (reason) remove_item(pruning, i, reason, error);
  }
}

static void remove_over_limit(struct pruning *pruning, struct error *error) {
  uint64_t bytes = udm_cache_listing_bytes(&pruning->listing);
  if (!pruning->max_bytes && pruning->rules->max_bytes)
    return; /* no limit; a rule of 0 keeps nothing */
  for (size_t i = 0; i < pruning->listing.count && !pruning->stop; ++i) {
    struct cache_listing_item *item = &pruning->listing.items[i];
    if (bytes <= pruning->max_bytes) return;
    if (!item->is_entry || item->gone) continue;
    if (remove_item(pruning, i, "size limit, least recently used", error)) {
      if (!is_dry_run(pruning)) udm_count(evictions);
      bytes -= (uint64_t)item->status.st_size;
    }
  }
}

static udm_status prune(struct pruning *pruning, udm_cache_prune_result *sums,
                        struct error *error) {
  udm_status status = udm_cache_list(&pruning->dir, &pruning->listing, error);
  if (status != UDM_OK) return status;
  const size_t count = pruning->listing.count;
  pruning->archs = udm_calloc(count + 1, sizeof *pruning->archs);
  if (pruning->archs) {
    remove_by_rules(pruning, error);
    remove_over_limit(pruning, error);
    status = pruning->status;
  } else {
    status = udm_fail_memory(error, "a list of architectures", count * sizeof *pruning->archs);
  }
  sums->removed = pruning->removed;
  sums->removed_bytes = pruning->removed_bytes;
  sums->kept_bytes = udm_cache_listing_bytes(&pruning->listing);
  for (size_t i = 0; i < count; ++i) {
    sums->kept += pruning->listing.items[i].is_entry && !pruning->listing.items[i].gone;
  }
  udm_free(pruning->archs);
  udm_cache_listing_free(&pruning->listing);
  return status;
}

/* Without rules of the caller, *rules stays as it is. */
static udm_status read_rules(const udm_cache_prune_options *given, udm_cache_prune_options *rules,
                             struct error *error) {
  const uint32_t known = UDM_CACHE_PRUNE_DRY_RUN | UDM_CACHE_PRUNE_ALL;
  if (!given) return UDM_OK;
  const udm_status status =
      udm_read_struct("rules", given, UDM_SIZE_UP_TO(udm_cache_prune_options, max_bytes), rules,
                      sizeof *rules, error);
  if (status != UDM_OK) return status;
  if (rules->flags & ~known) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "rules->flags has unknown bits: 0x%x",
                    (unsigned)rules->flags);
  }
  if (rules->keep_arch_count < 0 || (rules->keep_arch_count > 0 && !rules->keep_archs)) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "rules->keep_archs must be an array of rules->keep_arch_count architectures");
  }
  return UDM_OK;
}

static udm_status prune_folder(const struct settings *settings, struct pruning *pruning,
                               udm_cache_prune_result *sums, struct error *error) {
  struct cache_dir *dir = &pruning->dir;
  char text[UDM_REASON_SIZE] = "";
  struct error reason = {text, sizeof text};
  udm_cache_dir_at(settings, 0, dir);
  udm_status status = udm_cache_dir_open(dir, false, &reason);
  if (status == UDM_ERROR_NOT_FOUND) {
    status = UDM_OK;
  } else if (status != UDM_OK) {
    udm_fail(error, status, "cache folder %s: %s", udm_cache_dir_name(dir), text);
  } else if (faccessat(dir->fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
    /* before anything else, so that a dry run fails as a real one would */
    status =
        udm_fail_errno(error, UDM_ERROR_CACHE, errno, "nothing can be removed from %s", dir->path);
  } else {
    take_lock(pruning);
    status = prune(pruning, sums, error);
    udm_cache_unlock(&pruning->lock);
  }
  udm_cache_dir_close(dir);
  return status;
}

udm_status udm_cache_prune(const udm_options *options, const udm_cache_prune_options *rules,
                           udm_cache_removal_callback callback, void *user_data,
                           udm_cache_prune_result *result) {
  struct error *const error = udm_thread_error();
  udm_cache_prune_options asked = UDM_CACHE_PRUNE_OPTIONS_INIT;
  udm_cache_prune_result sums = {.struct_size = sizeof sums};
  struct settings settings;
  udm_status status = read_rules(rules, &asked, error);
  if (status == UDM_OK && result) {
    status = udm_check_struct("result", result, UDM_SIZE_UP_TO(udm_cache_prune_result, kept_bytes),
                              error);
  }
  if (status == UDM_OK) status = udm_settings_resolve(options, &settings, error);
  if (status != UDM_OK) return status;
  struct pruning *pruning = udm_calloc(1, sizeof *pruning);
  if (!pruning) return udm_fail_memory(error, "a walk over the cache", sizeof *pruning);
  pruning->lock.file = -1;
  pruning->rules = &asked;
  pruning->callback = callback;
  pruning->user_data = user_data;
  pruning->max_bytes = asked.max_bytes == UINT64_MAX ? settings.cache_max_bytes : asked.max_bytes;
  status = prune_folder(&settings, pruning, &sums, error);
  udm_free(pruning);
  if (result) udm_fill_struct(result, &sums, sizeof sums);
  return status;
}
