/*
 * The folders that an action works on: see places.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "places.h"

#include <stdio.h>
#include <string.h>

bool cache_places_find(const udm_options *options, struct cache_places *places) {
  udm_cache_layer_info info = {.struct_size = sizeof info};
  int32_t layers = 0;
  memset(places, 0, sizeof *places);
  if (udm_query_cache_layer(options, 0, &info) != UDM_OK) return false;
  memcpy(places->dir, info.path, sizeof places->dir);
  while (udm_query_cache_layer(options, layers + 1, &info) == UDM_OK) ++layers;
  const char *dir = places->dir[0] ? places->dir : "(no folder)";
  if (layers == 0) {
    snprintf(places->text, sizeof places->text, "%s", dir);
  } else {
    snprintf(places->text, sizeof places->text, "%s and %d read-only layer%s", dir, layers,
             layers == 1 ? "" : "s");
  }
  return true;
}

const char *cache_arch_text(char text[ARCH_TEXT_SIZE], int32_t arch) {
  snprintf(text, ARCH_TEXT_SIZE, arch ? "sm_%d" : "?", arch);
  return text;
}
