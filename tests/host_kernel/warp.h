/*
 * warp.h: warp operations: the result for each lane, once all lanes of a mask have arrived.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_WARP_H
#define UDM_TESTS_WARP_H

#include "block_scheduler.h"

enum { WARP_LANES = 32 };

/* One lane's operand of an operation, and its result. */
struct warp_arrival {
  enum warp_operation operation;
  uint32_t mask;
  uint32_t operand;
  uint32_t width;
  uint64_t value;
  uint64_t result;
};

/* NULL, or why the operation is illegal with these operands. */
const char *warp_arrival_fault(const struct warp_arrival *arrival, uint32_t lane);

/*
 * Sets the result of every lane of the mask; the other entries of lanes may be
 * NULL. A value read from a lane outside the mask is undefined in CUDA: it is
 * random here.
 */
void warp_exchange(struct warp_arrival *const lanes[WARP_LANES], uint32_t mask, uint64_t *random);

#endif
