/*
 * query_cache.c: the public functions that look at the cache: its layers, its
 * entries and their state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/cache.h"
#include "cache/cache_file.h"
#include "core/allocator.h"
#include "core/status.h"
#include "core/struct_size.h"
#include "image/kernel_entry.h"

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
                                    udm_cache_layer_info *info) {
  struct settings settings;
  struct cache_layer described;
  bool missing = false;
  udm_status status = udm_settings_resolve(options, &settings);
  if (status != UDM_OK) return status;
  if (layer < 0 || !udm_cache_layer_at(&settings, layer, &described)) {
    return udm_fail(UDM_ERROR_NOT_FOUND, "there is no cache layer %d", (int)layer);
  }
  memcpy(info->path, described.path, sizeof info->path);
  info->writable = described.writable;
  info->max_bytes = described.writable ? settings.cache_max_bytes : 0;
  const int folder = udm_cache_folder_open(&described, false, info->reason, &missing);
  info->usable = folder >= 0;
  if (folder >= 0) {
    if (described.writable && faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) != 0) {
      info->usable = 0;
      char text[UDM_ERRNO_TEXT_SIZE];
      snprintf(info->reason, sizeof info->reason, "not writable: %s", udm_errno_text(errno, text));
    }
    close(folder);
  } else if (missing && described.writable && can_be_made(described.path)) {
    info->usable = 1;
    info->reason[0] = '\0';
  }
  return UDM_OK;
}

udm_status udm_query_cache_layer(const udm_options *options, int32_t layer,
                                 udm_cache_layer_info *info) {
  udm_cache_layer_info full = {.struct_size = sizeof full};
  udm_status status = udm_check_struct("info", info, UDM_SIZE_UP_TO(udm_cache_layer_info, reason));
  if (status == UDM_OK) status = query_cache_layer(options, layer, &full);
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

/* "NVRTC 13.0\nPTX for compute_90\n": in one line, for people. */
static void join_lines(char *text) {
  size_t length = strlen(text);
  if (length > 0 && text[length - 1] == '\n') text[--length] = '\0';
  for (size_t i = 0; i < length; ++i) {
    if (text[i] == '\n') text[i] = ';';
  }
}

static int report_entry(int folder, const struct cache_layer *layer, int index, const char *name,
                        udm_cache_entry_callback callback, void *user_data) {
  char path[UDM_PATH_SIZE];
  struct judged_file judged;
  udm_cache_entry_path(layer, name, path);
  udm_judge_file(layer, folder, name, &judged);
  if (judged.file.missing) return 0; /* removed by another process since the folder was listed */
  const bool is_bad = judged.state == UDM_CACHE_ENTRY_BAD;
  join_lines(judged.entry.producer);
  const udm_cache_entry_info info = {
      .struct_size = sizeof info,
      .layer = index,
      .arch = judged.arch,
      .state = judged.state,
      .bytes = (uint64_t)judged.file.status.st_size,
      .path = path,
      .reason = judged.reason,
      .producer = is_bad ? "" : judged.entry.producer,
      .last_used = udm_cache_file_last_used(&judged.file.status),
      .contents = judged.file.bytes,
  };
  const struct host_allocator ours = udm_allocator_in_use();
  const int stop = callback(user_data, &info);
  udm_allocator_use(&ours); /* it may have called udm with other options */
  udm_free(judged.file.bytes);
  return stop;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_entry(const struct dirent *entry) { return udm_cache_is_entry_name(entry->d_name); }

static udm_status report_layer(const struct cache_layer *layer, int index, bool *stop,
                               udm_cache_entry_callback callback, void *user_data) {
  char reason[UDM_REASON_SIZE];
  bool missing = false;
  struct dirent **names = NULL;
  const int folder = udm_cache_folder_open(layer, false, reason, &missing);
  if (folder < 0) {
    if (missing) return UDM_OK;
    return udm_fail(UDM_ERROR_CACHE, "cache folder %s: %s", layer->path[0] ? layer->path : "(none)",
                    reason);
  }
  const int count = scandirat(folder, ".", &names, is_entry, by_name);
  const int error = errno;
  for (int i = 0; i < count; ++i) {
    *stop = *stop || report_entry(folder, layer, index, names[i]->d_name, callback, user_data);
    free(names[i]); /* scandirat's */
  }
  free(names);
  close(folder);
  if (count < 0) {
    return udm_fail_errno(UDM_ERROR_CACHE, error, "cache folder %s cannot be listed", layer->path);
  }
  return UDM_OK;
}

udm_status udm_cache_enumerate(const udm_options *options, udm_cache_entry_callback callback,
                               void *user_data) {
  struct settings settings;
  struct cache_layer layer;
  bool stop = false;
  if (!callback) return udm_fail(UDM_ERROR_INVALID_ARGUMENT, "callback is null");
  udm_status status = udm_settings_resolve(options, &settings);
  if (status != UDM_OK) return status;
  for (int i = 0; !stop && udm_cache_layer_at(&settings, i, &layer); ++i) {
    /* one folder that cannot be used does not hide the others */
    const udm_status of_layer = report_layer(&layer, i, &stop, callback, user_data);
    if (of_layer != UDM_OK) status = of_layer;
  }
  return status;
}
