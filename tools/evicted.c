/*
 * Entries that are gone again: see evicted.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "evicted.h"

#include <string.h>
#include <unistd.h>

#include "udm.h"

const char evicted_text[] =
    "its entry was removed again, as the cache may not be larger: raise UDM_CACHE_MAX_BYTES";

bool entry_is_evicted(const char *path) {
  const size_t length = strlen(path);
  const bool is_whole = length > 0 && length < UDM_PATH_SIZE - 1; /* not cut: it can be looked at */
  return is_whole && access(path, F_OK) != 0;
}
