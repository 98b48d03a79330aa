/*
 * The way into and out of every exported function: the driver's one lock, the
 * counts of calls, faults from the environment, and the conditions that many
 * functions share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_CALLS_H
#define UDM_TESTS_CALLS_H

#include "driver_functions.h"

enum requirement {
  NEEDS_NOTHING = 0,
  NEEDS_INIT = 1,
  NEEDS_CONTEXT = 2, /* a current context in which no kernel has failed; implies NEEDS_INIT */
  UNSAFE_IN_CAPTURE = 4
};

/*
 * Takes the lock; a fault before the leave, as of a copy from an address that is
 * none, ends the process. When the result is not CUDA_SUCCESS the function must do
 * nothing more. Every enter is followed by a leave:
 *
 *     CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
 *     if (result == CUDA_SUCCESS) result = do_it(...);
 *     return fake_cuda_leave(result);
 */
CUresult fake_cuda_enter(const char *function, unsigned int requirements);
CUresult fake_cuda_leave(CUresult result);

/* The next number of the driver's generator, seeded by UDM_FAKE_CUDA_SEED. */
uint64_t fake_cuda_random(void);

#endif
