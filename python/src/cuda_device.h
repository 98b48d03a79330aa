/*
 * cuda_device.h: the CUDA context in which udm works on a device, and the udm
 * context that belongs to it, which the first use creates.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_CUDA_DEVICE_H
#define UDM_PYTHON_CUDA_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "python_api.h"
#include "udm.h"

/* A kernel loaded into a CUDA context. Never freed: launches of it may be recorded anywhere. */
struct loaded_kernel {
  CUcontext cuda;
  int32_t device;
  udm_context *udm;
  struct loaded_kernel *next;
};

/*
 * Makes a CUDA context of the device current: keeps the current context if it
 * belongs to the device, else pushes the device's primary context, which
 * frameworks use. Loads the kernel into it at first use. On failure returns
 * NULL with an exception set. After success the same thread must call
 * cuda_device_leave() with the same *pushed.
 */
const struct loaded_kernel *cuda_device_enter(int32_t device, bool *pushed);
void cuda_device_leave(bool pushed);

/* Device of the current context; 0 if no context is current. */
int cuda_device_current(int32_t *device);

/* Device of the memory at address; the current device if the driver does not know. */
int cuda_device_of_pointer(CUdeviceptr address, int32_t *device);

/*
 * Reads a device number from an integer, "cuda:1" or a torch.device. None, NULL, "cuda" and a
 * torch.device without a number mean the current device. Returns -1 with an exception set.
 */
int device_argument(PyObject *value, int32_t *device);

#endif
