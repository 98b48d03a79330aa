/*
 * kernel_entry.h: a cache entry seen as what it should be: a kernel for the
 * architecture that its key names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_KERNEL_ENTRY_H
#define UDM_RUNTIME_IMAGE_KERNEL_ENTRY_H

#include <stdbool.h>

#include "cache/cache_entry.h"
#include "cache/cache_file.h"

struct kernel_entry {
  int32_t arch;
  bool current; /* of this library's kernel and options */
  char producer[UDM_CACHE_TEXT_SIZE];
  char name[UDM_CACHE_NAME_SIZE]; /* of the file that it belongs in */
};

/* Checks every byte of a file. Returns NULL and fills *entry, or says what is wrong. */
const char *udm_kernel_entry_check(const void *bytes, size_t size, struct kernel_entry *entry);

/* A file of a cache folder, read and judged. */
struct judged_file {
  udm_cache_entry_state state;
  int32_t arch; /* from the name when the entry does not tell; 0 when neither does */
  char reason[UDM_REASON_SIZE];
  struct kernel_entry entry; /* when it is not bad */
  struct cache_file file;    /* the caller frees file.bytes, NULL when it could not be read */
};

void udm_judge_file(const struct cache_layer *layer, int folder, const char *name,
                    struct judged_file *judged);

#endif
