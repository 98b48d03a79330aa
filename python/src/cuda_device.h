/*
 * cuda_device.h: which CUDA context work for a device goes to, and the udm
 * context that belongs to it, made at first use and kept.
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
 * Makes a CUDA context of the device current: the one that is, if it is the
 * device's, else the device's primary context, as frameworks use it. The
 * kernel is loaded into it when it is not yet. NULL with an exception set,
 * and nothing to leave then. Every other enter is followed by a leave with
 * the same *pushed, on the same thread.
 */
const struct loaded_kernel *cuda_device_enter(int32_t device, bool *pushed);
void cuda_device_leave(bool pushed);

/* Device of the current context; 0 where none is current. */
int cuda_device_current(int32_t *device);

/* Device of the memory at address; the current one where the driver cannot tell. */
int cuda_device_of_pointer(CUdeviceptr address, int32_t *device);

/*
 * From an integer, "cuda:1", or a torch.device; the current device from None and NULL, and from
 * "cuda" and a torch.device without a number. -1 with an exception set.
 */
int device_argument(PyObject *value, int32_t *device);

#endif
