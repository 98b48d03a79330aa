/*
 * cache_entry_validate.c: checks a cache entry beyond its checksum.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/cache_entry_validate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/cubin.h"
#include "image/kernel_key.h"

/* Returns false if the text is longer than any text of this library, or has a 0 in it. */
static bool copy_text(char text[UDM_CACHE_TEXT_SIZE], const char *bytes, size_t size) {
  if (size >= UDM_CACHE_TEXT_SIZE || memchr(bytes, '\0', size)) return false;
  memcpy(text, bytes, size);
  text[size] = '\0';
  return true;
}

const char *udm_cache_entry_validate(const void *bytes, size_t size, struct valid_entry *entry) {
  struct cache_entry_view view;
  struct kernel_key current;
  char text[UDM_CACHE_TEXT_SIZE];
  char arch_name[16];
  memset(entry, 0, sizeof *entry);
  const char *problem = udm_cache_entry_decode(bytes, size, &view);
  if (problem) return problem;
  if (!copy_text(text, view.text, view.text_size) ||
      !copy_text(entry->producer, view.producer, view.producer_size) || !entry->producer[0]) {
    return "udm writes no such key";
  }
  problem = udm_cubin_damage(view.image, view.image_size);
  if (problem) return problem;
  entry->arch = udm_cubin_arch(view.image, view.image_size);
  if (udm_kernel_key_target(text) != entry->arch) {
    return "its image is for another architecture than its key says";
  }
  snprintf(arch_name, sizeof arch_name, "sm_%d", (int)entry->arch);
  const struct cache_key key = {arch_name, text, entry->producer};
  udm_cache_entry_name(&key, entry->name);
  udm_kernel_key(entry->arch, NULL, &current);
  entry->current = strcmp(text, current.text) == 0;
  return NULL;
}

/* "sm_90-...": 90 */
static int32_t arch_in_name(const char *name) {
  char *end = NULL;
  if (strncmp(name, "sm_", 3) != 0) return 0;
  const long arch = strtol(name + 3, &end, 10);
  return *end == '-' && arch > 0 && arch < INT32_MAX ? (int32_t)arch : 0;
}

void udm_cache_file_validate(const struct cache_dir *dir, const char *name,
                             struct validated_file *validated) {
  memset(validated, 0, sizeof *validated);
  struct error reason = {validated->reason, sizeof validated->reason};
  validated->state = UDM_CACHE_ENTRY_BAD;
  if (udm_cache_file_read(dir, name, &validated->file, &reason) == UDM_OK) {
    const char *problem =
        udm_cache_entry_validate(validated->file.bytes, validated->file.size, &validated->entry);
    if (!problem && strcmp(name, validated->entry.name) != 0) {
      problem = "its name is not the one that its key gives";
    }
    if (!problem) {
      validated->state = validated->entry.current ? UDM_CACHE_ENTRY_OK : UDM_CACHE_ENTRY_STALE;
      if (!validated->entry.current) {
        problem = "made from another version of the kernel or its options";
      }
    }
    snprintf(validated->reason, sizeof validated->reason, "%s", problem ? problem : "");
  }
  validated->arch = validated->entry.arch ? validated->entry.arch : arch_in_name(name);
}
