/*
 * nvrtc_wheel.h: NVRTC of a Python wheel, where cuda-pathfinder is installed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_NVRTC_WHEEL_H
#define UDM_PYTHON_NVRTC_WHEEL_H

#include <stdbool.h>
#include <stddef.h>

/* The library's path; false when there is none. Takes the GIL, which must not be held. */
bool nvrtc_wheel_path(char *path, size_t size);

#endif
