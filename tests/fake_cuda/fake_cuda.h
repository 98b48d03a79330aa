/*
 * What a test may ask the fake driver, beside the driver's own functions.
 * Tests find these with udm_driver_symbol().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_FAKE_CUDA_H
#define UDM_TESTS_FAKE_CUDA_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/*
 * How often the driver function of that exported name was called, also with an
 * injected fault; NULL: how often any was. -1 for a name that is not exported.
 */
int64_t fake_cuda_calls(const char *name);

/* Sets all counts to 0. The counts are also what a fault's "Nth call" goes by. */
void fake_cuda_reset_calls(void);

/*
 * How many modules, libraries, kernels, functions and links are alive: a program
 * that is done should have left none.
 */
int fake_cuda_live_code(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
