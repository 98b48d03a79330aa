/*
 * cache_import.c: the public function that imports an entry from another machine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "cache/cache.h"
#include "core/allocator.h"
#include "core/status.h"
#include "core/struct_size.h"
#include "image/cache_entry_validate.h"

/* Returns true if the writable layer has this very entry, and sets path to where it is. */
static bool is_present(const struct settings *settings, const char *name, const void *contents,
                       size_t size, char path[UDM_PATH_SIZE]) {
  struct cache_dir dir;
  struct cache_file file;
  udm_cache_dir_at(settings, 0, &dir);
  if (udm_cache_dir_open(&dir, false, NULL) != UDM_OK) return false;
  const bool same = udm_cache_file_read(&dir, name, &file, NULL) == UDM_OK && file.size == size &&
                    memcmp(file.bytes, contents, size) == 0;
  udm_free(file.bytes);
  udm_cache_dir_file_path(&dir, name, path);
  udm_cache_dir_close(&dir);
  return same;
}

udm_status udm_cache_import(const udm_options *options, const void *contents, size_t size,
                            udm_cache_import_result *result) {
  struct error *const error = udm_thread_error();
  struct settings settings;
  struct valid_entry entry;
  char path[UDM_PATH_SIZE];
  if (!contents) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "contents is null");
  udm_status status = UDM_OK;
  if (result) {
    status =
        udm_check_struct("result", result, UDM_SIZE_UP_TO(udm_cache_import_result, path), error);
  }
  if (status == UDM_OK) status = udm_settings_resolve(options, &settings, error);
  if (status != UDM_OK) return status;
  const char *problem = size > UDM_CACHE_LARGEST_ENTRY
                            ? "too large for an entry"
                            : udm_cache_entry_validate(contents, size, &entry);
  if (problem)
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "contents is not an entry: %s", problem);
  const bool present = is_present(&settings, entry.name, contents, size, path);
  if (!present) status = udm_cache_store_entry(&settings, entry.name, contents, size, path, error);
  if (status != UDM_OK || !result) return status;
  udm_cache_import_result full = {.imported = !present, .arch = entry.arch};
  memcpy(full.path, path, sizeof full.path);
  udm_fill_struct(result, &full, sizeof full);
  return UDM_OK;
}
