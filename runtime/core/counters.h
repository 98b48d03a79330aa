/*
 * counters.h: what the cache did in this process (UDM_CACHE_COUNTER_TABLE), and which
 * images it loaded.
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

/* Counts an image that was loaded. The texts are copied, cut if they are long. */
void udm_count_image(int32_t device_arch, int32_t image_arch, const char *source,
                     const char *producer);

#endif
