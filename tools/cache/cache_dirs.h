/*
 * cache_dirs.h: the cache folders that a subcommand works on, as its report names
 * them, and entries that the size limit has removed again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_CACHE_CACHE_DIRS_H
#define UDM_TOOLS_CACHE_CACHE_DIRS_H

#include <stdbool.h>

#include "udm.h"

struct cache_dirs {
  char dir[UDM_PATH_SIZE];       /* of the writable cache; "" when there is none */
  char text[UDM_PATH_SIZE + 64]; /* "/dir", "/dir and 2 read-only layers" */
};

/* False when the library cannot say: udm_last_error() tells why. */
bool cache_dirs_find(const udm_options *options, struct cache_dirs *dirs);

/* "sm_90" into text; "?" for 0. Returns text. */
enum { ARCH_TEXT_SIZE = 16 };
const char *cache_arch_text(char text[ARCH_TEXT_SIZE], int32_t arch);

/* The message about such an entry: why it is gone, and what to do. */
extern const char evicted_text[];

/* Whether the entry at path, as the library told it after it was written, is gone. */
bool entry_is_evicted(const char *path);

#endif
