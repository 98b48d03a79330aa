/*
 * decode_case_draw.h: drawing decode cases: the generator of random numbers, and the steps that
 * decode_case_make.c takes to make a case. Private to the decode_case files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_SELFTEST_DECODE_CASE_DRAW_H
#define UDM_TOOLS_SELFTEST_DECODE_CASE_DRAW_H

#include "decode_case.h"
#include "numbers/random.h"

static inline uint64_t draw(struct decode_case *c) { return random_next(&c->random); }

/* Both ends included; the range must be shorter than 2^63. */
static inline int64_t draw_between(struct decode_case *c, int64_t low, int64_t high) {
  return low + (int64_t)(draw(c) % (uint64_t)(high - low + 1));
}

static inline bool draw_chance(struct decode_case *c, int percent) {
  return draw_between(c, 1, 100) <= percent;
}

static inline int64_t min_int64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_int64(int64_t a, int64_t b) { return a > b ? a : b; }
/* Whether the output is a prefix sum: [batch_size + 1]. */
static inline bool is_prefix_sum(int output) {
  return output == UDM_OUTPUT_CU_SEQLENS_K || output == UDM_OUTPUT_NSA_CU_SEQLENS_K;
}

static inline int64_t round_up(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/*
 * Decides, for the scalars of c->args, where every tensor lies: strides,
 * alignments, guard bands, aliases, null tables, and the size of both arenas.
 */
void decode_case_place_tensors(struct decode_case *c);

#endif
