/*
 * want_schedule.c: deals the work of paged MQA logits to the SMs: see want_schedule.h.
 *
 * A unit of work is 256 tokens of a row. SM90 has a piece per unit and pair of query tokens, row by
 * row, pair by pair. SM100 has a piece per unit and query token, row by row, unit by unit, and
 * rounds the beginning of an SM down to a whole unit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "want_schedule.h"

#include <stdbool.h>
#include <string.h>

enum { UNIT_TOKENS = 256 };

static int64_t units_of(int32_t length) {
  return ((int64_t)length + UNIT_TOKENS - 1) / UNIT_TOKENS;
}

void want_schedule(const int32_t *lengths, int32_t rows, int32_t next_n,
                   udm_schedule_variant variant, int32_t num_sms, int32_t *entries) {
  const bool sm100 = variant == UDM_SCHEDULE_SM100;
  const int64_t pieces_per_unit = sm100 ? next_n : (next_n + 1) / 2;
  int64_t total = 0;
  for (int32_t i = 0; i < rows; ++i) total += pieces_per_unit * units_of(lengths[i]);
  memset(entries, 0, ((size_t)num_sms + 1) * 2 * sizeof *entries);
  if (total == 0) return; /* no SM has work */
  const int64_t share = total / num_sms;
  const int64_t more = total % num_sms; /* so many SMs get a piece more */
  int64_t piece = 0;                    /* of the row, where the next SM begins */
  int32_t row = 0;
  for (int32_t sm = 0; sm <= num_sms; ++sm, entries += 2) {
    while (row < rows && piece >= pieces_per_unit * units_of(lengths[row])) {
      piece -= pieces_per_unit * units_of(lengths[row++]);
    }
    const int64_t units = row < rows ? units_of(lengths[row]) : 1; /* at the end piece is 0 */
    entries[0] = (int32_t)(row * pieces_per_unit + (sm100 ? 0 : piece / units));
    entries[1] = (int32_t)(sm100 ? piece / pieces_per_unit : piece % units);
    piece += share + (sm100 ? sm < more : sm >= num_sms - more);
  }
}
