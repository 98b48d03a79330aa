/*
 * Entries that a command put into the cache and that are gone again at its end:
 * in a cache too small for all of them, the later ones push the earlier ones
 * out. Whoever asked for them all was not served.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_EVICTED_H
#define UDM_TOOLS_EVICTED_H

#include <stdbool.h>

/* What to say of such an entry: why it is gone, and the cure. */
extern const char evicted_text[];

/* Whether the entry at path, as the library told it after it was written, is gone. */
bool entry_is_evicted(const char *path);

#endif
