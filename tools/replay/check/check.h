/*
 * check.h: compares what a step wrote with what the allocator knows: which request holds
 * which pages. Neither req_to_token nor the C reference is looked at.
 *
 * After the comparison the elements that had to be written are set to the
 * sentinel again, so that the next step must write them anew, and so that
 * whatever is not the sentinel afterwards was written where it must not be: a
 * gap behind every row is looked at each step, everything in check_sweep(), and
 * what a step is about to write over in check_newly_covered(). So no stray write
 * is lost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_CHECK_CHECK_H
#define UDM_TOOLS_REPLAY_CHECK_CHECK_H

#include "checker.h"

/*
 * Before the launch of the step whose batch is scheduler->running, padded to
 * batch_size: looks at the columns that this step covers and the one before did
 * not. A stray write there would be written over.
 */
void check_newly_covered(struct step_checker *checker, const struct batch_scheduler *scheduler,
                         int32_t batch_size);

/*
 * Checks the step whose batch is scheduler->running, padded to batch_size.
 * When it returns, every element that had to be written is the sentinel again.
 */
void check_step(struct step_checker *checker, const struct batch_scheduler *scheduler,
                int32_t batch_size, int64_t step);

/* After check_step(): looks at every element of every allocation. */
void check_sweep(struct step_checker *checker);

#endif
