/*
 * Device memory and pinned host memory: both are host memory here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_MEMORY_H
#define UDM_TESTS_MEMORY_H

#include "driver_functions.h"

/* Whether the range lies within one live allocation of device memory. */
bool memory_is_device(const void *at, size_t bytes);

/* Whether the address is in live pinned host memory. */
bool memory_is_pinned(const void *at);

#endif
