/*
 * failed_compiles.h: the compiles that NVRTC refused in this process, so that
 * the same one is not tried again. They are not written to disk: a new process
 * may have a new NVRTC.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_IMAGE_FAILED_COMPILES_H
#define UDM_RUNTIME_IMAGE_FAILED_COMPILES_H

#include <stdbool.h>

#include "cache/cache_entry.h"

/* Remembers the thread's last error as the reason. The key must have a producer. */
void udm_failed_compiles_add(const struct cache_key *key);

/* Whether this compile failed before; then its message is the thread's last error again. */
bool udm_failed_compiles_has(const struct cache_key *key);

#endif
