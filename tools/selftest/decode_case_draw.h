/*
 * decode_case_draw.h: draws random numbers for a decode case, and places its tensors. Private to
 * the decode_case files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_SELFTEST_DECODE_CASE_DRAW_H
#define UDM_TOOLS_SELFTEST_DECODE_CASE_DRAW_H

#include "decode_case.h"
#include "numbers/random.h"

static inline uint64_t draw(struct decode_case *c) { return random_next(&c->random); }

/* A number from low to high, both included; the range must be shorter than 2^63. */
static inline int64_t draw_between(struct decode_case *c, int64_t low, int64_t high) {
  return low + (int64_t)(draw(c) % (uint64_t)(high - low + 1));
}

static inline bool draw_chance(struct decode_case *c, int percent) {
  return draw_between(c, 1, 100) <= percent;
}

static inline int64_t min_int64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_int64(int64_t a, int64_t b) { return a > b ? a : b; }

static inline bool is_page_table(int output) {
  return output == UDM_OUTPUT_PAGE_TABLE_1 || output == UDM_OUTPUT_REAL_PAGE_TABLE;
}

static inline int64_t round_up(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/*
 * Draws the mode and the other fields behind `backends`: first what does not depend on the batch
 * size, then what does, and with it the rows of every output.
 */
void decode_case_draw_phase(struct decode_case *c, const struct decode_case_request *request);
void decode_case_draw_tokens(struct decode_case *c);

/* Elements of an output that is no page table. */
int64_t decode_case_elements(const struct decode_case *c, int output);

/*
 * Decides from the scalars of c->args where every tensor lies: strides, alignments, guard bands,
 * aliases and null tables. Sets the sizes of both arenas.
 */
void decode_case_place_tensors(struct decode_case *c);

#endif
