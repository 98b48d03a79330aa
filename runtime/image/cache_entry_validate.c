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

udm_status udm_cache_entry_validate(const void *bytes, size_t size, struct valid_entry *entry,
                                    struct error *error) {
  struct cache_entry_view view;
  char text[UDM_CACHE_TEXT_SIZE];
  char arch_name[16];
  memset(entry, 0, sizeof *entry);
  const udm_status status = udm_cache_entry_decode(bytes, size, &view, error);
  if (status != UDM_OK) return status;
  if (!copy_text(text, view.text, view.text_size) ||
      !copy_text(entry->producer, view.producer, view.producer_size) || !entry->producer[0]) {
    return udm_fail(error, UDM_ERROR_CACHE, "udm writes no such key");
  }
  const char *damage = udm_cubin_damage(view.image, view.image_size);
  if (damage) return udm_fail(error, UDM_ERROR_CACHE, "%s", damage);
  entry->arch = udm_cubin_arch(view.image, view.image_size);
  if (udm_kernel_key_target(text) != entry->arch) {
    return udm_fail(error, UDM_ERROR_CACHE,
                    "its image is for another architecture than its key says");
  }
  snprintf(arch_name, sizeof arch_name, "sm_%d", (int)entry->arch);
  const struct cache_key key = {arch_name, text, entry->producer};
  udm_cache_entry_name(&key, entry->name);
  entry->current = udm_kernel_key_is_current(text);
  return UDM_OK;
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
  struct cache_file *file = &validated->file;
  struct valid_entry *entry = &validated->entry;
  memset(validated, 0, sizeof *validated);
  struct error reason = {validated->reason, sizeof validated->reason};
  udm_status status = udm_cache_file_read(dir, name, file, &reason);
  if (status == UDM_OK) status = udm_cache_entry_validate(file->bytes, file->size, entry, &reason);
  if (status == UDM_OK && strcmp(name, entry->name) != 0) {
    status = udm_fail(&reason, UDM_ERROR_CACHE, "its name is not the one that its key gives");
  }
  validated->no_memory = status == UDM_ERROR_OUT_OF_MEMORY;
  validated->arch = entry->arch ? entry->arch : arch_in_name(name);
  if (status != UDM_OK) {
    validated->state = UDM_CACHE_ENTRY_BAD;
  } else if (entry->current) {
    validated->state = UDM_CACHE_ENTRY_OK;
  } else {
    validated->state = UDM_CACHE_ENTRY_STALE;
    udm_fail(&reason, UDM_ERROR_CACHE, "made from another version of the kernel or its options");
  }
}

static bool has_current_name(const char *name, int32_t arch) {
  for (int maker = 0; maker < KERNEL_MAKERS; ++maker) {
    struct kernel_key key;
    char prefix[UDM_CACHE_NAME_SIZE];
    udm_kernel_key(arch, (enum kernel_maker)maker, NULL, &key);
    udm_cache_entry_prefix(&key.key, prefix);
    if (strncmp(name, prefix, strlen(prefix)) == 0) return true;
  }
  return false;
}

/* The number of entries in a layer that another version of this library has made, by their names.
 */
static int count_stale(struct cache_dir *dir) {
  struct cache_listing listing;
  int stale = 0;
  if (udm_cache_dir_open(dir, false, NULL) != UDM_OK) return 0;
  if (udm_cache_list(dir, &listing, NULL) != UDM_OK) return 0;
  for (size_t i = 0; i < listing.count; ++i) {
    const char *name = listing.items[i].name;
    const int32_t arch = listing.items[i].is_entry ? arch_in_name(name) : 0;
    if (arch != 0 && !has_current_name(name, arch)) ++stale;
  }
  udm_cache_listing_free(&listing);
  return stale;
}

void udm_cache_add_stale_entries(const struct settings *settings, struct error *error) {
  struct cache_dir dir;
  for (int layer = 0; udm_cache_dir_at(settings, layer, &dir); ++layer) {
    const int stale = count_stale(&dir);
    if (stale > 0) {
      udm_extend_error(error,
                       "; %s: %d stale entr%s, made from another version of the kernel: fill it "
                       "again with this version of udm",
                       udm_cache_dir_name(&dir), stale, stale == 1 ? "y" : "ies");
    }
    udm_cache_dir_close(&dir);
  }
}

bool udm_cache_lookup_next_cubin(struct cache_lookup *lookup, int32_t arch, struct cache_hit *hit) {
  while (udm_cache_lookup_next(lookup, hit)) {
    char text[UDM_REASON_SIZE] = "";
    struct error reason = {text, sizeof text};
    const udm_status status = udm_cubin_check(hit->image, hit->image_size, arch, &reason);
    if (status == UDM_OK) return true;
    udm_cache_lookup_reject(
        lookup, status == UDM_ERROR_UNSUPPORTED_ARCH ? CACHE_MISS_WRONG_ARCH : CACHE_MISS_REJECTED,
        text);
  }
  return false;
}
