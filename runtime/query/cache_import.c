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

/* Returns true if the writable layer has this very entry. path then receives its path. */
static bool is_present(const struct settings *settings, const char *name, const void *contents,
                       size_t size, char path[UDM_PATH_SIZE]) {
  struct cache_dir dir = UDM_CACHE_DIR_INIT;
  struct cache_file file = {.bytes = NULL};
  udm_cache_dir_at(settings, 0, &dir);
  const bool same = udm_cache_dir_open(&dir, false, NULL) == UDM_OK &&
                    udm_cache_file_read(&dir, name, &file, NULL) == UDM_OK && file.size == size &&
                    memcmp(file.bytes, contents, size) == 0;
  if (same) udm_cache_dir_file_path(&dir, name, path);
  udm_free(file.bytes);
  udm_cache_dir_close(&dir);
  return same;
}

static udm_status import(const struct settings *settings, const void *contents, size_t size,
                         udm_cache_import_result *result, struct error *error) {
  struct valid_entry entry;
  char text[UDM_REASON_SIZE] = "too large for an entry";
  struct error reason = {text, sizeof text};
  if (size > UDM_CACHE_LARGEST_ENTRY ||
      udm_cache_entry_validate(contents, size, &entry, &reason) != UDM_OK) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "contents is not an entry: %s", text);
  }
  result->arch = entry.arch;
  if (is_present(settings, entry.name, contents, size, result->path)) return UDM_OK;
  result->imported = 1;
  return udm_cache_store_entry(settings, entry.name, contents, size, result->path, error);
}

udm_status udm_cache_import(const udm_options *options, const void *contents, size_t size,
                            udm_cache_import_result *result) {
  struct error *const error = udm_thread_error();
  struct settings settings;
  udm_cache_import_result full = {.struct_size = sizeof full};
  if (!contents) return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "contents is null");
  udm_status status = UDM_OK;
  if (result) {
    status =
        udm_check_struct("result", result, UDM_SIZE_UP_TO(udm_cache_import_result, path), error);
  }
  if (status == UDM_OK) status = udm_settings_resolve(options, &settings, error);
  if (status == UDM_OK) status = import(&settings, contents, size, &full, error);
  if (status == UDM_OK && result) udm_fill_struct(result, &full, sizeof full);
  return status;
}
