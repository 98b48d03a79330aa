/*
 * cache_import.c: the public function that takes an entry in from elsewhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/cache.h"
#include "core/allocator.h"
#include "core/status.h"
#include "core/struct_size.h"
#include "image/kernel_entry.h"

/* Whether the writable layer has the very same entry; path receives where. */
static bool is_there(const struct settings *settings, const char *name, const void *contents,
                     size_t size, char path[UDM_PATH_SIZE]) {
  struct cache_layer layer;
  struct cache_file file;
  char reason[UDM_REASON_SIZE];
  bool missing = false;
  udm_cache_layer_at(settings, 0, &layer);
  const int folder = udm_cache_folder_open(&layer, false, reason, &missing);
  if (folder < 0) return false;
  const bool same = !udm_cache_file_read(&layer, folder, name, &file, reason) &&
                    file.size == size && memcmp(file.bytes, contents, size) == 0;
  udm_free(file.bytes);
  close(folder);
  udm_cache_entry_path(&layer, name, path);
  return same;
}

udm_status udm_cache_import(const udm_options *options, const void *contents, size_t size,
                            udm_cache_import_result *result) {
  struct settings settings;
  struct kernel_entry entry;
  char path[UDM_PATH_SIZE];
  if (!contents) return udm_fail(UDM_ERROR_INVALID_ARGUMENT, "contents is null");
  udm_status status = UDM_OK;
  if (result) {
    status = udm_check_struct("result", result, UDM_SIZE_UP_TO(udm_cache_import_result, path));
  }
  if (status == UDM_OK) status = udm_settings_resolve(options, &settings);
  if (status != UDM_OK) return status;
  const char *problem = size > UDM_CACHE_LARGEST_ENTRY
                            ? "too large for an entry"
                            : udm_kernel_entry_check(contents, size, &entry);
  if (problem) return udm_fail(UDM_ERROR_INVALID_ARGUMENT, "contents is no entry: %s", problem);
  const bool there = is_there(&settings, entry.name, contents, size, path);
  if (!there) status = udm_cache_publish_entry(&settings, entry.name, contents, size, path);
  if (status != UDM_OK || !result) return status;
  udm_cache_import_result full = {.imported = !there, .arch = entry.arch};
  memcpy(full.path, path, sizeof full.path);
  udm_fill_struct(result, &full, sizeof full);
  return UDM_OK;
}
