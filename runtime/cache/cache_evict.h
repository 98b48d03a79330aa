/*
 * cache_evict.h: what keeps the writable layer bounded by itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CACHE_CACHE_EVICT_H
#define UDM_RUNTIME_CACHE_CACHE_EVICT_H

#include "cache/cache_folder.h"

/*
 * After an entry was published: removes what killed publishers left behind and
 * what can be no entry, and, least recently used first, entries until the size limit is kept. The
 * entry of the name `published` stays, and so do entries that are being read. Trouble is a line in
 * the log.
 */
void udm_cache_evict(const struct settings *settings, const struct cache_layer *layer, int folder,
                     const char *published);

#endif
