/*
 * What a test may ask the fake NVRTC, beside NVRTC's own functions. Tests
 * find these with dlsym().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_FAKE_NVRTC_H
#define UDM_TESTS_FAKE_NVRTC_H

#pragma GCC visibility push(default)

/* How often the function of that name was called, also with an injected fault; -1: no such one. */
long fake_nvrtc_calls(const char *name);

/* Sets all counts to 0. The counts are also what a fault's "Nth call" goes by. */
void fake_nvrtc_reset_calls(void);

#pragma GCC visibility pop

#endif
