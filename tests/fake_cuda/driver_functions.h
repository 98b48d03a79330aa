/*
 * driver_functions.h: the functions that the fake driver exports: all of
 * cuda/cuda_driver.h. With FAKE_CUDA_REAL_CUDA_H the real cuda.h declares them
 * as well: that build proves the definitions right.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_DRIVER_FUNCTIONS_H
#define UDM_TESTS_DRIVER_FUNCTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef FAKE_CUDA_REAL_CUDA_H
#define __CUDA_API_VERSION_INTERNAL /* the exported names, not the macros that hide them */
#include <cuda.h>
#endif

#include "cuda/cuda_driver.h"

#pragma GCC visibility push(default)
#define EXPORTED(name, version, parameters) name##_function name;
CUDA_DRIVER_FUNCTIONS(EXPORTED)
#undef EXPORTED
#pragma GCC visibility pop

#endif
