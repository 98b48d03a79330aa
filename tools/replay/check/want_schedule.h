/*
 * want_schedule.h: the schedule that a step had to write, found by dealing the work out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_CHECK_WANT_SCHEDULE_H
#define UDM_TOOLS_REPLAY_CHECK_WANT_SCHEDULE_H

#include <stdint.h>

#include "udm.h"

/*
 * Deals the work of rows of these lengths to the SMs, in order: each SM begins where the one before
 * it ended, so every piece has one SM. Writes [num_sms + 1, 2] entries.
 */
void want_schedule(const int32_t *lengths, int32_t rows, int32_t next_n,
                   udm_schedule_variant variant, int32_t num_sms, int32_t *entries);

#endif
