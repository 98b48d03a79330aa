/*
 * check.h: compares what a step wrote with what the allocator knows: which request holds which
 * pages. It reads neither req_to_token nor the output of the C reference.
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
 * Call it before the launch of the step whose batch is scheduler->running, padded to batch_size.
 * Looks at the columns that this step covers and the last one did not: the launch would hide a
 * stray write there.
 */
void check_newly_covered(struct step_checker *checker, const struct batch_scheduler *scheduler,
                         int32_t batch_size);

/*
 * Checks the step whose batch is scheduler->running, padded to batch_size, and sets every element
 * that the step had to write to the sentinel again.
 */
void check_step(struct step_checker *checker, const struct batch_scheduler *scheduler,
                int32_t batch_size, int64_t step);

/* Call it after check_step(). Looks at every element of every allocation. */
void check_sweep(struct step_checker *checker);

#endif
