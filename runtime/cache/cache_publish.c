/*
 * cache_publish.c: puts entries into the writable layer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/cache.h"
#include "cache/cache_counters.h"
#include "cache/cache_evict.h"
#include "cache/cache_file.h"
#include "core/allocator.h"
#include "core/status.h"

/* Whether something has the name that no look-up can use. */
static bool stands_in_the_way(const struct cache_layer *layer, int folder, const char *name) {
  struct cache_file file;
  struct cache_entry_view view;
  char reason[UDM_REASON_SIZE];
  const bool whole = !udm_cache_file_read(layer, folder, name, &file, reason) &&
                     !udm_cache_entry_decode(file.bytes, file.size, &view);
  udm_free(file.bytes);
  return !whole && file.status.st_mode != 0;
}

static udm_status publish(const struct settings *settings, const char *name, const void *bytes,
                          size_t size, char path[UDM_PATH_SIZE]) {
  struct cache_layer layer;
  char reason[UDM_REASON_SIZE];
  bool missing = false;
  if (settings->cache_max_bytes && size > settings->cache_max_bytes) {
    return udm_fail(UDM_ERROR_CACHE,
                    "an entry of %zu bytes is larger than the whole cache may be, %" PRIu64
                    " bytes: raise UDM_CACHE_MAX_BYTES",
                    size, settings->cache_max_bytes);
  }
  udm_cache_layer_at(settings, 0, &layer);
  const int folder = udm_cache_folder_open(&layer, true, reason, &missing);
  if (folder < 0) {
    return udm_fail(UDM_ERROR_CACHE, "cache folder %s: %s; another can be named in UDM_CACHE_DIR",
                    layer.path[0] ? layer.path : "(none)", reason);
  }
  const bool repairs = stands_in_the_way(&layer, folder, name);
  const udm_status status = udm_cache_file_publish(&layer, folder, name, bytes, size);
  if (status == UDM_OK) {
    if (repairs) udm_count(repairs);
    udm_cache_entry_path(&layer, name, path);
    udm_cache_evict(settings, &layer, folder, name);
  }
  close(folder);
  return status;
}

udm_status udm_cache_publish_entry(const struct settings *settings, const char *name,
                                   const void *bytes, size_t size, char path[UDM_PATH_SIZE]) {
  const udm_status status = publish(settings, name, bytes, size, path);
  if (status == UDM_OK) {
    udm_count(publishes);
  } else {
    udm_count(publish_failures);
  }
  return status;
}

udm_status udm_cache_publish(const struct settings *settings, const struct cache_key *key,
                             const void *image, size_t image_size, char path[UDM_PATH_SIZE]) {
  char name[UDM_CACHE_NAME_SIZE];
  unsigned char *bytes = NULL;
  size_t size = 0;
  udm_status status = udm_cache_entry_encode(key, image, image_size, &bytes, &size);
  if (status != UDM_OK) return status;
  udm_cache_entry_name(key, name);
  status = udm_cache_publish_entry(settings, name, bytes, size, path);
  udm_free(bytes);
  return status;
}
