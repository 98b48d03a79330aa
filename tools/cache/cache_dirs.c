/*
 * cache_dirs.c: the cache folders that a subcommand works on, and what they hold.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache_dirs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "udm.h"

bool cache_dirs_find(const udm_options *options, struct cache_dirs *dirs) {
  udm_cache_layer_info info = {.struct_size = sizeof info};
  int32_t layers = 0;
  memset(dirs, 0, sizeof *dirs);
  if (udm_query_cache_layer(options, 0, &info) != UDM_OK) return false;
  memcpy(dirs->dir, info.path, sizeof dirs->dir);
  while (udm_query_cache_layer(options, layers + 1, &info) == UDM_OK) ++layers;
  const char *dir = dirs->dir[0] ? dirs->dir : "(no folder)";
  if (layers == 0) {
    snprintf(dirs->text, sizeof dirs->text, "%s", dir);
  } else {
    snprintf(dirs->text, sizeof dirs->text, "%s and %d read-only layer%s", dir, layers,
             layers == 1 ? "" : "s");
  }
  return true;
}

const char *cache_arch_text(char text[ARCH_TEXT_SIZE], int32_t arch) {
  snprintf(text, ARCH_TEXT_SIZE, arch ? "sm_%d" : "?", arch);
  return text;
}

const char evicted_text[] =
    "its entry was removed again, as the cache may not be larger: raise UDM_CACHE_MAX_BYTES";

bool entry_is_evicted(const char *path) {
  const size_t length = strlen(path);
  const bool is_whole = length > 0 && length < UDM_PATH_SIZE - 1; /* not cut: it can be looked at */
  return is_whole && access(path, F_OK) != 0;
}
