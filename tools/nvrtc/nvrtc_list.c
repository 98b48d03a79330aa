/*
 * nvrtc_list.c: the list of NVRTCs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nvrtc_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add_candidate(void *user_data, const udm_nvrtc_candidate *candidate) {
  nvrtc_list *list = user_data;
  nvrtc_found *items = realloc(list->items, (size_t)(list->count + 1) * sizeof *items);
  if (!items) return 1;
  list->items = items;
  nvrtc_found *added = &items[list->count];
  memset(added, 0, sizeof *added);
  added->library = strdup(candidate->library);
  added->reason = strdup(candidate->reason);
  if (candidate->nvrtc) added->info = *candidate->nvrtc;
  if (!added->library || !added->reason) {
    free(added->library);
    free(added->reason);
    return 1;
  }
  ++list->count;
  return 0;
}

udm_status nvrtc_list_make(const udm_options *options, nvrtc_list *list) {
  memset(list, 0, sizeof *list);
  return udm_nvrtc_enumerate(options, add_candidate, list);
}

void nvrtc_list_free(nvrtc_list *list) {
  for (int32_t i = 0; i < list->count; ++i) {
    free(list->items[i].library);
    free(list->items[i].reason);
  }
  free(list->items);
  memset(list, 0, sizeof *list);
}

bool nvrtc_is_usable(const nvrtc_found *found) { return found->reason[0] == '\0'; }

const nvrtc_found *nvrtc_list_first(const nvrtc_list *list) {
  for (int32_t i = 0; i < list->count; ++i) {
    if (nvrtc_is_usable(&list->items[i])) return &list->items[i];
  }
  return NULL;
}

bool nvrtc_knows(const nvrtc_found *found, int32_t arch) {
  for (int32_t i = 0; i < found->info.arch_count; ++i) {
    if (found->info.archs[i] == arch) return true;
  }
  return false;
}

/* False for equal versions, so that the one found first is taken. */
static bool is_newer(const nvrtc_found *a, const nvrtc_found *b) {
  if (a->info.version_major != b->info.version_major) {
    return a->info.version_major > b->info.version_major;
  }
  return a->info.version_minor > b->info.version_minor;
}

const nvrtc_found *nvrtc_list_newest(const nvrtc_list *list, int32_t arch, int32_t newest_major) {
  const nvrtc_found *best = NULL;
  const nvrtc_found *best_of_all = NULL;
  for (int32_t i = 0; i < list->count; ++i) {
    const nvrtc_found *found = &list->items[i];
    if (!nvrtc_is_usable(found) || !nvrtc_knows(found, arch)) continue;
    if (!best_of_all || is_newer(found, best_of_all)) best_of_all = found;
    if (newest_major != 0 && found->info.version_major > newest_major) continue;
    if (!best || is_newer(found, best)) best = found;
  }
  return best ? best : best_of_all;
}

void nvrtc_version_text(const nvrtc_found *found, char text[32]) {
  snprintf(text, 32, "%d.%d", found->info.version_major, found->info.version_minor);
}
