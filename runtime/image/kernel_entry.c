/*
 * kernel_entry.c: checks a cache entry beyond its checksum, and judges files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/kernel_entry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/compile.h"
#include "image/cubin.h"

/* False when it is longer than any of this library, or no text. */
static bool copy_text(char text[UDM_CACHE_TEXT_SIZE], const char *bytes, size_t size) {
  if (size >= UDM_CACHE_TEXT_SIZE || memchr(bytes, '\0', size)) return false;
  memcpy(text, bytes, size);
  text[size] = '\0';
  return true;
}

const char *udm_kernel_entry_check(const void *bytes, size_t size, struct kernel_entry *entry) {
  struct cache_entry_view view;
  struct kernel_key current;
  char material[UDM_CACHE_TEXT_SIZE];
  char label[16];
  memset(entry, 0, sizeof *entry);
  const char *problem = udm_cache_entry_decode(bytes, size, &view);
  if (problem) return problem;
  if (!copy_text(material, view.material, view.material_size) ||
      !copy_text(entry->producer, view.producer, view.producer_size) || !entry->producer[0]) {
    return "its key is none that udm writes";
  }
  problem = udm_cubin_damage(view.image, view.image_size);
  if (problem) return problem;
  entry->arch = udm_cubin_arch(view.image, view.image_size);
  if (udm_kernel_key_target(material) != entry->arch) {
    return "its image is for another architecture than its key says";
  }
  snprintf(label, sizeof label, "sm_%d", (int)entry->arch);
  const struct cache_key key = {label, material, entry->producer};
  udm_cache_entry_name(&key, entry->name);
  udm_kernel_key(entry->arch, NULL, &current);
  entry->current = strcmp(material, current.material) == 0;
  return NULL;
}

/* "sm_90-...": 90 */
static int32_t arch_in_name(const char *name) {
  char *end = NULL;
  if (strncmp(name, "sm_", 3) != 0) return 0;
  const long arch = strtol(name + 3, &end, 10);
  return *end == '-' && arch > 0 && arch < INT32_MAX ? (int32_t)arch : 0;
}

void udm_judge_file(const struct cache_layer *layer, int folder, const char *name,
                    struct judged_file *judged) {
  memset(judged, 0, sizeof *judged);
  judged->state = UDM_CACHE_ENTRY_BAD;
  const char *problem = udm_cache_file_read(layer, folder, name, &judged->file, judged->reason);
  if (!problem) {
    problem = udm_kernel_entry_check(judged->file.bytes, judged->file.size, &judged->entry);
    if (!problem && strcmp(name, judged->entry.name) != 0) {
      problem = "its name is not that of its key";
    }
    if (!problem) {
      judged->state = judged->entry.current ? UDM_CACHE_ENTRY_OK : UDM_CACHE_ENTRY_STALE;
      if (!judged->entry.current)
        problem = "made from another version of the kernel or its options";
    }
    snprintf(judged->reason, sizeof judged->reason, "%s", problem ? problem : "");
  }
  judged->arch = judged->entry.arch ? judged->entry.arch : arch_in_name(name);
}
