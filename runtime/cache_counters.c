/*
 * cache_counters.c: the process's cache counters, and their public snapshot.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache_counters.h"

#include <string.h>

#include "status.h"

struct live_cache_counters udm_live_cache_counters;

udm_status udm_get_cache_counters(udm_cache_counters *counters) {
  udm_cache_counters now = {.struct_size = sizeof now};
  if (!counters) return udm_fail(UDM_ERROR_INVALID_ARGUMENT, "counters is null");
  if (counters->struct_size < sizeof counters->struct_size + sizeof(uint64_t)) {
    return udm_fail(UDM_ERROR_INVALID_ARGUMENT,
                    "counters->struct_size is %zu: set it to the structure's sizeof",
                    counters->struct_size);
  }
#define UDM_SNAPSHOT(name, text) \
  now.name = atomic_load_explicit(&udm_live_cache_counters.name, memory_order_relaxed);
  UDM_CACHE_COUNTER_TABLE(UDM_SNAPSHOT)
#undef UDM_SNAPSHOT
  const size_t known = sizeof now < counters->struct_size ? sizeof now : counters->struct_size;
  const size_t first = sizeof now.struct_size;
  memset((char *)counters + first, 0, counters->struct_size - first); /* a newer caller's */
  memcpy((char *)counters + first, (const char *)&now + first, known - first);
  return UDM_OK;
}
