/*
 * A small replay whose every step is checked, with a device that can spoil what
 * the C reference has written, or what it read: the tests plant a fault and see
 * that the checker finds it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_CLI_CHECKER_FIXTURE_H
#define UDM_TESTS_CLI_CHECKER_FIXTURE_H

#include "replay/run.h"

/* Called after the reference has run, at the step number spoil_step. */
typedef void (*spoil_function)(const udm_decode_args *args);

/* Runs steps steps; spoil NULL: nothing is spoilt. Aborts the test when the replay cannot run. */
void fixture_run(udm_extent extent, int64_t steps, int64_t spoil_step, spoil_function spoil,
                 replay_result *result);

#endif /* UDM_TESTS_CLI_CHECKER_FIXTURE_H */
