/*
 * fake_cuda.h: the functions that the fake driver has for tests, beside the driver's own. Tests
 * find them with udm_driver_symbol().
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
 * The number of calls of the driver function with that exported name, those with an injected fault
 * included; NULL: of all functions. -1 for a name that is not exported.
 */
int64_t fake_cuda_calls(const char *name);

/* Sets all counts to 0. "Nth call" of a fault counts from here. */
void fake_cuda_reset_calls(void);

/* The number of modules, libraries, kernels, functions and links that are alive. */
int fake_cuda_live_code(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
