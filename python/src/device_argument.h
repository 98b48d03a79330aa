/*
 * device_argument.h: a CUDA device as a caller names it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_DEVICE_ARGUMENT_H
#define UDM_PYTHON_DEVICE_ARGUMENT_H

#include <stdint.h>

#include "python_api.h"

/*
 * From an integer, "cuda:1", or a torch.device; the current device from None and NULL, and from
 * "cuda" and a torch.device without a number. -1 with an exception set.
 */
int device_argument(PyObject *value, int32_t *device);

#endif
