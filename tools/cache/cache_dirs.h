/*
 * cache_dirs.h: the cache folders, as a report names them, and entries that the size limit evicted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_CACHE_CACHE_DIRS_H
#define UDM_TOOLS_CACHE_CACHE_DIRS_H

#include <stdbool.h>

#include "udm.h"

struct cache_dirs {
  char dir[UDM_PATH_SIZE];       /* of the writable cache; "" if there is none */
  char text[UDM_PATH_SIZE + 64]; /* "/dir", "/dir and 2 read-only layers" */
};

/* Returns false if the library fails; udm_last_error() says why. */
bool cache_dirs_find(const udm_options *options, struct cache_dirs *dirs);

/* Writes "sm_90" to text, or "?" for 0. Returns text. */
enum { ARCH_TEXT_SIZE = 16 };
const char *cache_arch_text(char text[ARCH_TEXT_SIZE], int32_t arch);

/* What a report says of an evicted entry: why it is gone, and what to do. */
extern const char evicted_text[];

/* Whether the entry that the library wrote to path is gone. */
bool entry_is_evicted(const char *path);

#endif
