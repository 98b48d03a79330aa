/*
 * random.h: SplitMix64 (Steele, Lea and Flood, 2014): a seeded random stream that is the
 * same on every machine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_NUMBERS_RANDOM_H
#define UDM_TOOLS_NUMBERS_RANDOM_H

#include <stdint.h>

static inline uint64_t random_next(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* One of 0 to bound - 1; bound > 0. */
static inline int32_t random_below(uint64_t *state, int32_t bound) {
  return (int32_t)(random_next(state) % (uint64_t)bound);
}

#endif
