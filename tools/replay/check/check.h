/*
 * check.h: compares what a phase of a step wrote with what the allocator knows: which request holds
 * which pages, and which positions the phase reads. It reads neither req_to_token nor the output of
 * the C reference. Each phase has a checker.
 *
 * After the comparison it sets the elements that the step had to write to the sentinel again. So
 * the next step must write them anew, and any other value is a stray write. check_step() looks at a
 * gap behind every row, check_sweep() at everything, and check_newly_covered() at what a step is
 * about to write over. So no stray write is lost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_CHECK_CHECK_H
#define UDM_TOOLS_REPLAY_CHECK_CHECK_H

#include "checker.h"

/*
 * Call it before the launch for this batch. Looks at the columns that the launch covers and the
 * last one did not: it would hide a stray write there.
 */
void check_newly_covered(struct step_checker *checker, const struct phase_batch *batch);

/*
 * Checks the launch for this batch, and sets every element that it had to write to the sentinel
 * again.
 */
void check_step(struct step_checker *checker, const struct phase_batch *batch, int64_t step);

/* Part of check_step(): lengths, prefix sums and schedules. */
void check_lengths(struct step_checker *checker);

/* Call it after check_step(). Looks at every element of every allocation. */
void check_sweep(struct step_checker *checker);

#endif
