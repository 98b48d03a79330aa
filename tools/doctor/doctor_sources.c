/*
 * doctor_sources.c: udm doctor without a GPU: what each image source has for the GPUs of other
 * machines, and why one has nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

enum { MOST_GROUPS = 16 };

/* The good entries of one producer. */
struct group {
  char producer[256];
  char archs[512]; /* " sm_80 sm_90" */
};

struct groups {
  int count;
  struct group items[MOST_GROUPS];
  int stale;
};

static int add_entry(void *user_data, const udm_cache_entry_info *entry) {
  struct groups *groups = user_data;
  char arch[16];
  int i = 0;
  if (entry->state == UDM_CACHE_ENTRY_STALE) ++groups->stale;
  if (entry->state != UDM_CACHE_ENTRY_OK) return 0;
  while (i < groups->count && strcmp(groups->items[i].producer, entry->producer) != 0) ++i;
  if (i == MOST_GROUPS) return 0;
  struct group *group = &groups->items[i];
  if (i == groups->count) {
    ++groups->count;
    snprintf(group->producer, sizeof group->producer, "%s", entry->producer);
  }
  snprintf(arch, sizeof arch, " sm_%d", entry->arch);
  const size_t used = strlen(group->archs);
  if (!strstr(group->archs, arch)) {
    snprintf(group->archs + used, sizeof group->archs - used, "%s", arch);
  }
  return 0;
}

static void add_source(struct findings *found, json_t *list, const char *source, bool available,
                       const char *text) {
  table_add(&found->table, "%s\t%s: %s", json_array_size(list) ? "" : "sources", source, text);
  json_array_append_new(list, json_pack("{s:s, s:b, s:o}", "source", source, "available", available,
                                        "detail", output_text(text)));
}

static void add_cache(struct findings *found, json_t *list) {
  struct groups *groups = calloc(1, sizeof *groups);
  if (!groups) return;
  udm_cache_enumerate(&found->options, add_entry, groups);
  for (int i = 0; i < groups->count; ++i) {
    char text[800];
    const struct group *group = &groups->items[i];
    snprintf(text, sizeof text, "%s by %s", group->archs + 1, group->producer);
    add_source(found, list, "cache", true, text);
  }
  if (groups->count == 0) {
    char text[96] = "no entry: udm prewarm fills it";
    if (groups->stale) {
      snprintf(text, sizeof text,
               "%d stale entries of another version of udm: udm prewarm fills it", groups->stale);
    }
    add_source(found, list, "cache", false, text);
  }
  free(groups);
}

static void add_nvrtc(struct findings *found, json_t *list) {
  const struct nvrtc_found *first = nvrtc_list_first(&found->nvrtcs);
  const char *const names[] = {udm_image_source_name(UDM_IMAGE_NVRTC),
                               udm_image_source_name(UDM_IMAGE_NVRTC_PTX)};
  const char *const forbidden =
      found->mode == MODE_MAY_COMPILE ? NULL : "compiling is forbidden (UDM_NO_COMPILE)";
  for (int i = 0; i < 2; ++i) {
    char text[128] = "there is no usable NVRTC";
    if (first) {
      snprintf(text, sizeof text, "NVRTC %d.%d, %s of CUDA %d.%d and later%s",
               first->info.version_major, first->info.version_minor,
               i == 0 ? "for drivers" : "assembled by drivers", first->info.version_major,
               i == 0 ? 0 : first->info.version_minor,
               i == 0 ? "" : ", also on newer GPUs than it knows");
    }
    add_source(found, list, names[i], first && !forbidden, forbidden ? forbidden : text);
  }
}

void doctor_sources(struct findings *found) {
  json_t *list = json_array();
  const bool may_assemble = found->mode != MODE_CACHED_ONLY;
  add_cache(found, list);
  add_nvrtc(found, list);
  add_source(found, list, udm_image_source_name(UDM_IMAGE_SHIPPED_PTX), may_assemble,
             may_assemble
                 ? "for every GPU from sm_70 on, assembled by drivers of CUDA 11.8 and later"
                 : "only cached images are allowed (UDM_NO_COMPILE)");
  json_object_set_new(found->json, "sources", list);
}
