/*
 * cache_entry_validate.h: checks that a cache entry is what it should be: a kernel
 * for the architecture that its key names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_CACHE_ENTRY_VALIDATE_H
#define UDM_RUNTIME_IMAGE_CACHE_ENTRY_VALIDATE_H

#include "cache/cache.h"

struct valid_entry {
  int32_t arch;
  bool current; /* made from this library's kernel and options */
  char producer[UDM_CACHE_TEXT_SIZE];
  char name[UDM_CACHE_NAME_SIZE]; /* the file name that the entry must have */
};

/* Checks every byte and fills *entry. CACHE if the bytes are not a whole entry of a kernel. */
udm_status udm_cache_entry_validate(const void *bytes, size_t size, struct valid_entry *entry,
                                    struct error *error);

/* A file of a cache folder, read and validated. */
struct validated_file {
  udm_cache_entry_state state;
  int32_t arch; /* from the file name if the entry does not say; 0 if neither does */
  char reason[UDM_REASON_SIZE]; /* why it is bad or stale; else "" */
  struct valid_entry entry;     /* if the state is not BAD */
  bool no_memory;               /* the file was not read, and may be good */
  struct cache_file file; /* the caller frees file.bytes, NULL if the file could not be read */
};

void udm_cache_file_validate(const struct cache_dir *dir, const char *name,
                             struct validated_file *validated);

/* Adds to the message how many entries of each layer another version of udm has made. */
void udm_cache_add_stale_entries(const struct settings *settings, struct error *error);

/*
 * Like udm_cache_lookup_next(), for cubins: rejects entries whose image is damaged or for another
 * architecture, however good their checksums.
 */
bool udm_cache_lookup_next_cubin(struct cache_lookup *lookup, int32_t arch, struct cache_hit *hit);

#endif
