/*
 * nvrtc_functions.h: the functions that the fake NVRTC exports, all of
 * cuda/nvrtc_functions.h, and what its files share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_NVRTC_FUNCTIONS_H
#define UDM_TESTS_NVRTC_FUNCTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "cuda/nvrtc_functions.h"

#pragma GCC visibility push(default)
#define EXPORTED(result, name, parameters) name##_function name;
CUDA_NVRTC_FUNCTIONS(EXPORTED)
#undef EXPORTED
#pragma GCC visibility pop

enum { FAKE_CUDA_MAX_ARCHS = 64 };

struct fake_nvrtc_settings {
  int version_major;
  int version_minor;
  int arch_count;
  int archs[FAKE_CUDA_MAX_ARCHS];
  int delay_ms;
};

/* The settings of this copy of the library, from the environment and the files beside it. */
void fake_nvrtc_settings_read(struct fake_nvrtc_settings *settings);

/* Counts the call; the error that UDM_FAKE_NVRTC_FAIL names for it. */
nvrtcResult fake_cuda_fault(const char *function);

/* Appends the compile's line to the log, if there is one. */
void fake_cuda_log_compile(const char *target);

#endif
