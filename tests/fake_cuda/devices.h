/*
 * The devices that the environment asks for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_DEVICES_H
#define UDM_TESTS_DEVICES_H

#include "driver_functions.h"

enum { MAX_DEVICES = 16, MAX_DEVICE_NAME = 64 };

struct device {
  int major, minor; /* compute capability */
  char name[MAX_DEVICE_NAME];
  CUcontext primary; /* NULL while nobody retains it */
  int primary_references;
  size_t allocated;
};

/* So few that the library's grids are smaller than the work. */
enum { MULTIPROCESSORS = 4, L2_CACHE_BYTES = 1 << 14 };

#define DEVICE_MEMORY_BYTES ((size_t)64 << 30)

bool devices_are_initialised(void);

/* What cuDriverGetVersion says: 12040 for CUDA 12.4. */
int devices_driver_version(void);

/* NULL when there is no such device. */
struct device *device_get(CUdevice ordinal);

#endif
