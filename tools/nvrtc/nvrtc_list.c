/*
 * nvrtc_list.c: lists the NVRTCs of this machine: see nvrtc_list.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nvrtc_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvrtc_try.h"

static int add_candidate(void *user_data, const udm_nvrtc_candidate *candidate) {
  struct nvrtc_list *list = user_data;
  struct nvrtc_found *items = realloc(list->items, (size_t)(list->count + 1) * sizeof *items);
  if (!items) return 1;
  list->items = items;
  struct nvrtc_found *added = &items[list->count];
  memset(added, 0, sizeof *added);
  added->library = strdup(candidate->library);
  added->reason = strdup(candidate->reason);
  if (!added->library || !added->reason) {
    free(added->library);
    free(added->reason);
    return 1;
  }
  ++list->count;
  return 0;
}

udm_status nvrtc_list_make(const udm_options *options, struct nvrtc_list *list) {
  memset(list, 0, sizeof *list);
  const udm_status status = udm_nvrtc_find(options, add_candidate, list);
  for (int32_t i = 0; i < list->count; ++i) {
    struct nvrtc_found *found = &list->items[i];
    if (!nvrtc_is_usable(found)) continue;
    free(found->reason);
    found->reason = nvrtc_try(options, found->library, &found->info, &found->kills);
    found->opens = found->kills || found->info.arch_count > 0;
  }
  return status;
}

void nvrtc_list_free(struct nvrtc_list *list) {
  for (int32_t i = 0; i < list->count; ++i) {
    free(list->items[i].library);
    free(list->items[i].reason);
  }
  free(list->items);
  memset(list, 0, sizeof *list);
}

bool nvrtc_is_usable(const struct nvrtc_found *found) {
  return found->reason && found->reason[0] == '\0';
}

const struct nvrtc_found *nvrtc_list_first(const struct nvrtc_list *list) {
  for (int32_t i = 0; i < list->count; ++i) {
    if (nvrtc_is_usable(&list->items[i])) return &list->items[i];
  }
  return NULL;
}

const struct nvrtc_found *nvrtc_list_killer(const struct nvrtc_list *list) {
  for (int32_t i = 0; i < list->count && !nvrtc_is_usable(&list->items[i]); ++i) {
    if (list->items[i].kills) return &list->items[i];
  }
  return NULL;
}

bool nvrtc_knows(const struct nvrtc_found *found, int32_t arch) {
  for (int32_t i = 0; i < found->info.arch_count; ++i) {
    if (found->info.archs[i] == arch) return true;
  }
  return false;
}

/* Equal versions are not newer, so that the first one found wins. */
static bool is_newer(const struct nvrtc_found *a, const struct nvrtc_found *b) {
  if (a->info.version_major != b->info.version_major) {
    return a->info.version_major > b->info.version_major;
  }
  return a->info.version_minor > b->info.version_minor;
}

const struct nvrtc_found *nvrtc_list_newest(const struct nvrtc_list *list, int32_t arch,
                                            int32_t newest_major) {
  const struct nvrtc_found *best = NULL;
  for (int32_t i = 0; i < list->count; ++i) {
    const struct nvrtc_found *found = &list->items[i];
    if (!nvrtc_is_usable(found) || (arch != 0 && !nvrtc_knows(found, arch))) continue;
    if (newest_major != 0 && found->info.version_major > newest_major) continue;
    if (!best || is_newer(found, best)) best = found;
  }
  return best;
}

const char *nvrtc_package(int32_t arch, int32_t driver_version) {
  enum { LOWEST_OF_CUDA_13 = 75, HIGHEST_OF_CUDA_11 = 90 };
  const int32_t major = driver_version ? driver_version / 1000 : INT32_MAX;
  if (major < 11 || (major == 11 && arch > HIGHEST_OF_CUDA_11)) return NULL;
  if (major == 11) return "nvidia-cuda-nvrtc-cu11";
  if (major < 13 || arch < LOWEST_OF_CUDA_13) return "nvidia-cuda-nvrtc-cu12";
  return "nvidia-cuda-nvrtc";
}

void nvrtc_version_text(const struct nvrtc_found *found, char text[32]) {
  snprintf(text, 32, "%d.%d", found->info.version_major, found->info.version_minor);
}
