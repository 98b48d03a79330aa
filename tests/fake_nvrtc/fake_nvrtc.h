/*
 * fake_nvrtc.h: the functions that the fake NVRTC has for tests, beside NVRTC's own. Tests find
 * them with dlsym().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_FAKE_NVRTC_H
#define UDM_TESTS_FAKE_NVRTC_H

#pragma GCC visibility push(default)

/* The number of calls of that function, those with an injected fault included; -1: no such
 * function. */
long fake_nvrtc_calls(const char *name);

/* Sets all counts to 0. "Nth call" of a fault counts from here. */
void fake_nvrtc_reset_calls(void);

#pragma GCC visibility pop

#endif
