/*
 * query_cache.c: the public functions that describe the cache: its layers, its
 * entries and their state, and the counters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/cache.h"
#include "core/allocator.h"
#include "core/status.h"
#include "core/struct_size.h"
#include "image/cache_entry_validate.h"

/* Whether the folder could be made: its nearest existing ancestor can be written to. */
static bool can_be_made(const char *path) {
  char ancestor[UDM_PATH_SIZE];
  snprintf(ancestor, sizeof ancestor, "%s", path);
  for (;;) {
    char *slash = strrchr(ancestor, '/');
    if (!slash) return access(".", W_OK | X_OK) == 0;
    slash[slash == ancestor] = '\0'; /* keep "/" itself */
    if (access(ancestor, F_OK) == 0) return access(ancestor, W_OK | X_OK) == 0;
    if (slash == ancestor) return false;
  }
}

static udm_status query_cache_layer(const udm_options *options, int32_t layer,
                                    udm_cache_layer_info *info, struct error *error) {
  struct settings settings;
  struct cache_dir dir;
  struct error reason = {info->reason, sizeof info->reason};
  udm_status status = udm_settings_resolve(options, &settings, error);
  if (status != UDM_OK) return status;
  if (layer < 0 || !udm_cache_dir_at(&settings, layer, &dir)) {
    return udm_fail(error, UDM_ERROR_NOT_FOUND, "there is no cache layer %d", (int)layer);
  }
  memcpy(info->path, dir.path, sizeof info->path);
  info->writable = dir.writable;
  info->max_bytes = dir.writable ? settings.cache_max_bytes : 0;
  status = udm_cache_dir_open(&dir, false, &reason);
  info->usable = status == UDM_OK;
  if (status == UDM_OK && dir.writable && faccessat(dir.fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
    info->usable = 0;
    udm_fail_errno(&reason, UDM_ERROR_CACHE, errno, "not writable");
  } else if (status == UDM_ERROR_NOT_FOUND && dir.writable && can_be_made(dir.path)) {
    info->usable = 1;
    info->reason[0] = '\0';
  }
  udm_cache_dir_close(&dir);
  return UDM_OK;
}

udm_status udm_query_cache_layer(const udm_options *options, int32_t layer,
                                 udm_cache_layer_info *info) {
  struct error *const error = udm_thread_error();
  udm_cache_layer_info full = {.struct_size = sizeof full};
  udm_status status =
      udm_check_struct("info", info, UDM_SIZE_UP_TO(udm_cache_layer_info, reason), error);
  if (status == UDM_OK) status = query_cache_layer(options, layer, &full, error);
  if (status == UDM_OK) udm_fill_struct(info, &full, sizeof full);
  return status;
}

const char *udm_cache_entry_state_name(udm_cache_entry_state state) {
  switch (state) {
    case UDM_CACHE_ENTRY_OK:
      return "ok";
    case UDM_CACHE_ENTRY_STALE:
      return "stale";
    case UDM_CACHE_ENTRY_BAD:
      return "bad";
  }
  return "bad";
}

/* Makes one line of "NVRTC 13.0\nPTX for compute_90\n". */
static void join_lines(char *text) {
  size_t length = strlen(text);
  if (length > 0 && text[length - 1] == '\n') text[--length] = '\0';
  for (size_t i = 0; i < length; ++i) {
    if (text[i] == '\n') text[i] = ';';
  }
}

static bool report_entry(const struct cache_dir *dir, int layer, const char *name,
                         udm_cache_entry_callback callback, void *user_data) {
  char path[UDM_PATH_SIZE];
  struct validated_file entry;
  udm_cache_dir_file_path(dir, name, path);
  udm_cache_file_validate(dir, name, &entry);
  if (entry.file.missing) return false; /* another process has removed it just now */
  join_lines(entry.entry.producer);
  const udm_cache_entry_info info = {
      .struct_size = sizeof info,
      .layer = layer,
      .arch = entry.arch,
      .state = entry.state,
      .bytes = (uint64_t)entry.file.status.st_size,
      .path = path,
      .reason = entry.reason,
      .producer = entry.state == UDM_CACHE_ENTRY_BAD ? "" : entry.entry.producer,
      .last_used = udm_cache_file_last_used(&entry.file.status),
      .contents = entry.file.bytes,
  };
  const struct host_allocator ours = udm_allocator_in_use();
  const bool stop = callback(user_data, &info) != 0;
  udm_allocator_use(&ours); /* the callback may have called udm with other options */
  udm_free(entry.file.bytes);
  return stop;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct cache_listing_item *)a)->name,
                ((const struct cache_listing_item *)b)->name);
}

static udm_status report_layer(struct cache_dir *dir, int layer, bool *stop,
                               udm_cache_entry_callback callback, void *user_data,
                               struct error *error) {
  struct cache_listing listing;
  char text[UDM_REASON_SIZE] = "";
  struct error reason = {text, sizeof text};
  udm_status status = udm_cache_dir_open(dir, false, &reason);
  if (status == UDM_ERROR_NOT_FOUND) return UDM_OK;
  if (status != UDM_OK) {
    return udm_fail(error, UDM_ERROR_CACHE, "cache folder %s: %s", udm_cache_dir_name(dir), text);
  }
  status = udm_cache_list(dir, &listing, error);
  if (status == UDM_OK) {
    if (listing.count > 0) qsort(listing.items, listing.count, sizeof *listing.items, by_name);
    for (size_t i = 0; i < listing.count && !*stop; ++i) {
      const struct cache_listing_item *item = &listing.items[i];
      if (item->is_entry) *stop = report_entry(dir, layer, item->name, callback, user_data);
    }
    udm_cache_listing_free(&listing);
  }
  udm_cache_dir_close(dir);
  return status;
}

udm_status udm_cache_enumerate(const udm_options *options, udm_cache_entry_callback callback,
                               void *user_data) {
  struct error *const error = udm_thread_error();
  struct settings settings;
  struct cache_dir dir;
  bool stop = false;
  if (!callback) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "callback is null");
  udm_status status = udm_settings_resolve(options, &settings, error);
  if (status != UDM_OK) return status;
  for (int i = 0; !stop && udm_cache_dir_at(&settings, i, &dir); ++i) {
    /* a folder that cannot be used does not hide the others */
    const udm_status of_layer = report_layer(&dir, i, &stop, callback, user_data, error);
    if (of_layer != UDM_OK) status = of_layer;
  }
  return status;
}
