/*
 * mismatch.h: a log of wrong elements: how many there were, and the first few in full.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_CHECK_MISMATCH_H
#define UDM_TOOLS_REPLAY_CHECK_MISMATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "replay/scheduler/phase.h"

enum mismatch_place {
  IN_VALUES,     /* an element that the call had to write */
  OUTSIDE_EXTENT /* an element that it must not touch */
};

struct wrong_element {
  int64_t step;
  bool or_before; /* a stray write that a sweep found: this step or an earlier one made it */
  enum mismatch_place place;
  enum step_phase phase;
  int32_t backend;
  int32_t output;
  int64_t row;    /* -1: the tensor has no rows */
  int64_t column; /* or the element, if there are no rows; negative in the guard before a tensor */
  int32_t got;
  int32_t want;
};

enum { MISMATCHES_KEPT = 8 };

struct mismatch_log {
  int64_t count;
  int64_t of_phase[PHASE_COUNT];
  struct wrong_element first[MISMATCHES_KEPT];
};

void mismatch_log_add(struct mismatch_log *log, const struct wrong_element *mismatch);

/* The number of entries in log->first. */
int mismatch_log_kept(const struct mismatch_log *log);

/* Describes the mismatch as text. */
void mismatch_describe(const struct wrong_element *mismatch, char *text, size_t size);

#endif
