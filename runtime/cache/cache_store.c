/*
 * cache_store.c: writes entries into the writable layer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>

#include "cache/cache.h"
#include "core/allocator.h"
#include "core/counters.h"

/* Returns true if a file that no lookup can use has the name. */
static bool slot_is_corrupt(const struct cache_dir *dir, const char *name) {
  struct cache_file file;
  struct cache_entry_view view;
  const bool whole = udm_cache_file_read(dir, name, &file, NULL) == UDM_OK &&
                     udm_cache_entry_decode(file.bytes, file.size, &view, NULL) == UDM_OK;
  udm_free(file.bytes);
  return !whole && file.status.st_mode != 0;
}

static udm_status store(const struct settings *settings, struct cache_dir *dir, const char *name,
                        const void *bytes, size_t size, char path[UDM_PATH_SIZE],
                        struct error *error) {
  char text[UDM_REASON_SIZE] = "";
  struct error reason = {text, sizeof text};
  if (settings->cache_max_bytes && size > settings->cache_max_bytes) {
    return udm_fail(error, UDM_ERROR_CACHE,
                    "an entry of %zu bytes is larger than the size limit of the whole cache, "
                    "%" PRIu64 " bytes: raise UDM_CACHE_MAX_BYTES",
                    size, settings->cache_max_bytes);
  }
  if (udm_cache_dir_open(dir, true, &reason) != UDM_OK) {
    return udm_fail(error, UDM_ERROR_CACHE,
                    "cache folder %s: %s; name another folder in UDM_CACHE_DIR",
                    udm_cache_dir_name(dir), text);
  }
  const bool repairs = slot_is_corrupt(dir, name);
  const udm_status status = udm_cache_file_write(dir, name, bytes, size, error);
  if (status != UDM_OK) return status;
  if (repairs) udm_count(repairs);
  udm_cache_dir_file_path(dir, name, path);
  udm_cache_evict(settings, dir, name);
  return UDM_OK;
}

udm_status udm_cache_store_entry(const struct settings *settings, const char *name,
                                 const void *bytes, size_t size, char path[UDM_PATH_SIZE],
                                 struct error *error) {
  struct cache_dir dir;
  udm_cache_dir_at(settings, 0, &dir);
  const udm_status status = store(settings, &dir, name, bytes, size, path, error);
  udm_cache_dir_close(&dir);
  if (status == UDM_OK) {
    udm_count(publishes);
  } else {
    udm_count(publish_failures);
  }
  return status;
}

udm_status udm_cache_store(const struct settings *settings, const struct cache_key *key,
                           const void *image, size_t image_size, char path[UDM_PATH_SIZE],
                           struct error *error) {
  char name[UDM_CACHE_NAME_SIZE];
  unsigned char *bytes = NULL;
  size_t size = 0;
  udm_status status = udm_cache_entry_encode(key, image, image_size, &bytes, &size, error);
  if (status != UDM_OK) return status;
  udm_cache_entry_name(key, name);
  status = udm_cache_store_entry(settings, name, bytes, size, path, error);
  udm_free(bytes);
  return status;
}
