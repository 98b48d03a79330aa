/*
 * cache_limit.h: what keeps the writable layer bounded by itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CACHE_LIMIT_H
#define UDM_RUNTIME_CACHE_LIMIT_H

#include "cache_folder.h"

/*
 * After an entry was published: removes what killed publishers left behind and
 * what can be no entry, and, least recently used first, entries until the size limit is kept. The
 * entry of the name `published` stays, and so do entries that are being read. Trouble is a line in
 * the log.
 */
void udm_cache_keep_limit(const struct settings *settings, const struct cache_layer *layer,
                          int folder, const char *published);

#endif
