/*
 * Warp operations: what each lane takes, once all lanes of a mask have come.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_WARP_H
#define UDM_TESTS_WARP_H

#include "block_scheduler.h"

enum { WARP_LANES = 32 };

/* What one lane brought to an operation, and what it takes from it. */
struct warp_arrival {
  enum warp_operation operation;
  uint32_t mask;
  uint32_t operand;
  uint32_t width;
  uint64_t value;
  uint64_t result;
};

/* NULL, or why no lane may come to the operation like this. */
const char *warp_arrival_fault(const struct warp_arrival *arrival, uint32_t lane);

/*
 * Sets the result of every lane of the mask; the other entries of lanes may be
 * NULL. A value read from a lane outside the mask is undefined in CUDA: it is
 * random here.
 */
void warp_exchange(struct warp_arrival *const lanes[WARP_LANES], uint32_t mask, uint64_t *random);

#endif
