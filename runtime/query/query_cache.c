/*
 * query_cache.c: the public functions that describe the cache: its layers, its
 * entries and their state.
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
#include "image/kernel_key.h"

/* True if the nearest existing ancestor of a folder is writable. Shortens the path to it. */
static bool can_be_made(char *path) {
  for (;;) {
    char *slash = strrchr(path, '/');
    if (!slash) return access(".", W_OK | X_OK) == 0;
    slash[slash == path] = '\0'; /* keep "/" itself */
    if (access(path, F_OK) == 0) return access(path, W_OK | X_OK) == 0;
    if (slash == path) return false;
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
  if (!dir.path) return udm_fail_memory(error, "the path of a cache folder", UDM_PATH_SIZE);
  snprintf(info->path, sizeof info->path, "%s", dir.path);
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

/* What udm_cache_enumerate() works with: too large for a stack frame. */
struct enumeration {
  udm_cache_entry_callback callback;
  void *user_data;
  int layer;
  struct cache_dir dir;
  bool stop; /* the callback said so */
  char path[UDM_PATH_SIZE];
  char producer[UDM_CACHE_TEXT_SIZE];
  struct validated_file validated;
};

static void report_entry(struct enumeration *enumeration, const char *name) {
  struct validated_file *validated = &enumeration->validated;
  const struct cache_file *file = &validated->file;
  udm_cache_dir_file_path(&enumeration->dir, name, enumeration->path);
  udm_cache_file_validate(&enumeration->dir, name, validated);
  if (file->missing) return; /* another process has removed it just now */
  udm_image_producer_line(validated->entry.producer, enumeration->producer);
  const udm_cache_entry_info info = {
      .struct_size = sizeof info,
      .layer = enumeration->layer,
      .arch = validated->arch,
      .state = validated->state,
      .bytes = (uint64_t)file->status.st_size,
      .path = enumeration->path,
      .reason = validated->reason,
      .producer = validated->state == UDM_CACHE_ENTRY_BAD ? "" : enumeration->producer,
      .last_used = udm_cache_file_last_used(&file->status),
      .contents = file->bytes,
  };
  const struct host_allocator ours = udm_allocator_in_use();
  enumeration->stop = enumeration->callback(enumeration->user_data, &info) != 0;
  udm_allocator_use(&ours); /* the callback may have called udm with other options */
  udm_free(file->bytes);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct cache_listing_item *)a)->name,
                ((const struct cache_listing_item *)b)->name);
}

static udm_status report_layer(struct enumeration *enumeration, struct error *error) {
  struct cache_dir *dir = &enumeration->dir;
  struct cache_listing listing;
  char text[UDM_REASON_SIZE] = "";
  struct error reason = {text, sizeof text};
  udm_status status = udm_cache_dir_open(dir, false, &reason);
  if (status == UDM_ERROR_NOT_FOUND) return UDM_OK;
  if (status != UDM_OK) {
    return udm_fail(error, status, "cache folder %s: %s", udm_cache_dir_name(dir), text);
  }
  status = udm_cache_list(dir, &listing, error);
  if (status != UDM_OK) return status;
  if (listing.count > 0) qsort(listing.items, listing.count, sizeof *listing.items, by_name);
  for (size_t i = 0; i < listing.count && !enumeration->stop; ++i) {
    if (listing.items[i].is_entry) report_entry(enumeration, listing.items[i].name);
  }
  udm_cache_listing_free(&listing);
  return UDM_OK;
}

udm_status udm_cache_enumerate(const udm_options *options, udm_cache_entry_callback callback,
                               void *user_data) {
  struct error *const error = udm_thread_error();
  struct settings settings;
  if (!callback) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "callback is null");
  udm_status status = udm_settings_resolve(options, &settings, error);
  if (status != UDM_OK) return status;
  struct enumeration *enumeration = udm_calloc(1, sizeof *enumeration);
  if (!enumeration) return udm_fail_memory(error, "a walk over the cache", sizeof *enumeration);
  enumeration->callback = callback;
  enumeration->user_data = user_data;
  while (!enumeration->stop && udm_cache_dir_at(&settings, enumeration->layer, &enumeration->dir)) {
    /* a folder that cannot be used does not hide the others */
    const udm_status of_layer = report_layer(enumeration, error);
    if (of_layer != UDM_OK) status = of_layer;
    udm_cache_dir_close(&enumeration->dir);
    ++enumeration->layer;
  }
  udm_free(enumeration);
  return status;
}
