/*
 * mismatch.c: the log of wrong elements: see mismatch.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "mismatch.h"

#include <inttypes.h>
#include <stdio.h>

#include "replay/device/output_tensors.h"

void mismatch_log_add(struct mismatch_log *log, const struct wrong_element *mismatch) {
  if (log->count < MISMATCHES_KEPT) log->first[log->count] = *mismatch;
  ++log->count;
  ++log->of_phase[mismatch->phase];
}

int mismatch_log_kept(const struct mismatch_log *log) {
  return log->count < MISMATCHES_KEPT ? (int)log->count : MISMATCHES_KEPT;
}

void mismatch_describe(const struct wrong_element *mismatch, char *text, size_t size) {
  char row[48] = "";
  if (mismatch->row >= 0) snprintf(row, sizeof row, "row %" PRId64 ", ", mismatch->row);
  const int used = snprintf(
      text, size, "step %" PRId64 "%s, %s, backend %d, %s, %s%s %" PRId64 ": ", mismatch->step,
      mismatch->or_before ? " or before" : "", phase_name(mismatch->phase), mismatch->backend,
      output_title(mismatch->output), row, row[0] ? "column" : "element", mismatch->column);
  if (used < 0 || (size_t)used >= size) return;
  text += used;
  size -= (size_t)used;
  if (mismatch->place == OUTSIDE_EXTENT) {
    snprintf(text, size, "%d was written outside the stated columns", mismatch->got);
  } else if (mismatch->got == SENTINEL) {
    snprintf(text, size, "nothing was written, want %d", mismatch->want);
  } else {
    snprintf(text, size, "got %d, want %d", mismatch->got, mismatch->want);
  }
}
