/*
 * counters.c: the process's cache counters, and their public snapshot.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/counters.h"

#include "core/struct_size.h"

struct live_counters udm_live_counters;

udm_status udm_get_cache_counters(udm_cache_counters *counters) {
  struct error *const error = udm_thread_error();
  udm_cache_counters now = {.struct_size = sizeof now};
  const udm_status status = udm_check_struct(
      "counters", counters, UDM_SIZE_UP_TO(udm_cache_counters, hits_writable), error);
  if (status != UDM_OK) return status;
#define UDM_SNAPSHOT(name, text) \
  now.name = atomic_load_explicit(&udm_live_counters.name, memory_order_relaxed);
  UDM_CACHE_COUNTER_TABLE(UDM_SNAPSHOT)
#undef UDM_SNAPSHOT
  udm_fill_struct(counters, &now, sizeof now);
  return UDM_OK;
}
