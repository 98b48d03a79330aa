/*
 * counters.h: the counters of UDM_CACHE_COUNTER_TABLE: what the cache did in this
 * process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CORE_COUNTERS_H
#define UDM_RUNTIME_CORE_COUNTERS_H

#include <stdatomic.h>

#include "udm.h"

struct live_counters {
#define UDM_LIVE_COUNTER(name, text) _Atomic uint64_t name;
  UDM_CACHE_COUNTER_TABLE(UDM_LIVE_COUNTER)
#undef UDM_LIVE_COUNTER
};

extern struct live_counters udm_live_counters;

#define udm_count(name) atomic_fetch_add_explicit(&udm_live_counters.name, 1, memory_order_relaxed)

#endif
