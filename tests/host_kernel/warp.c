/*
 * warp.c: warp operations, as the CUDA C++ Programming Guide defines them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "warp.h"

#include <stddef.h>

const char *warp_arrival_fault(const struct warp_arrival *arrival, uint32_t lane) {
  const uint32_t width = arrival->width;
  if ((arrival->mask >> lane & 1u) == 0) return "its mask does not name the calling lane";
  if (width == 0 || width > WARP_LANES || (width & (width - 1)) != 0) {
    return "its width is not a power of two up to 32";
  }
  return NULL;
}

/* The lane whose value a shuffle gives to this lane. */
static uint32_t source_lane(const struct warp_arrival *arrival, uint32_t lane) {
  const uint32_t width = arrival->width;
  const uint32_t first = lane / width * width;
  const uint32_t operand = arrival->operand;
  switch (arrival->operation) {
    case WARP_SHUFFLE:
      return first + operand % width;
    case WARP_SHUFFLE_UP:
      return operand > lane - first ? lane : lane - operand;
    case WARP_SHUFFLE_DOWN:
      return operand >= first + width - lane ? lane : lane + operand;
    case WARP_SHUFFLE_XOR:
      return (lane ^ operand) < first + width ? lane ^ operand : lane;
    default:
      return lane;
  }
}

static uint64_t ballot(struct warp_arrival *const lanes[WARP_LANES], uint32_t mask) {
  uint64_t votes = 0;
  for (uint32_t lane = 0; lane < WARP_LANES; ++lane) {
    if ((mask >> lane & 1u) != 0 && lanes[lane]->value != 0) votes |= (uint64_t)1 << lane;
  }
  return votes;
}

void warp_exchange(struct warp_arrival *const lanes[WARP_LANES], uint32_t mask, uint64_t *random) {
  const uint64_t votes = ballot(lanes, mask);
  for (uint32_t lane = 0; lane < WARP_LANES; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    struct warp_arrival *arrival = lanes[lane];
    if (arrival->operation == WARP_BALLOT) {
      arrival->result = votes;
      continue;
    }
    const uint32_t source = source_lane(arrival, lane);
    const bool named = (mask >> source & 1u) != 0;
    arrival->result = named ? lanes[source]->value : block_scheduler_random(random);
  }
}
