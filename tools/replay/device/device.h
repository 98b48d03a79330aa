/*
 * device.h: where a replay runs: on a GPU, or on the CPU with the C reference. Memory and
 * launches of both look alike, so the steps and the checks are written once.
 *
 * Operations after a failure do nothing: error holds the first one, and who
 * steps on must look at it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_DEVICE_DEVICE_H
#define UDM_TOOLS_REPLAY_DEVICE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "udm.h"

struct launch_time {
  double host_us; /* of the udm call; on the CPU, the whole work of the reference */
  double gpu_us;  /* between events around it; negative without a GPU */
};

struct replay_device;

struct device_operations {
  /* Memory of the device, 256-byte aligned; 0 on failure. */
  CUdeviceptr (*allocate)(struct replay_device *device, size_t bytes);
  void (*release)(struct replay_device *device, CUdeviceptr memory);
  /* Host memory that copies run fast from and to; NULL on failure. */
  void *(*allocate_staging)(struct replay_device *device, size_t bytes);
  void (*release_staging)(struct replay_device *device, void *memory);

  /* The next four happen in their order, at the latest in wait(). */
  void (*fill)(struct replay_device *device, CUdeviceptr to, int32_t value, size_t count);
  /* from must stay as it is until wait(). */
  void (*write)(struct replay_device *device, CUdeviceptr to, const void *from, size_t bytes);
  /*
   * Where the host can read count elements after wait(): staging, or the
   * memory itself if the host can read it.
   */
  const int32_t *(*view)(struct replay_device *device, CUdeviceptr from, size_t count,
                         int32_t *staging);
  /* The direct call if backend_pointers is 0, else the pointer-table call. */
  void (*launch)(struct replay_device *device, const udm_decode_args *args,
                 CUdeviceptr backend_pointers);

  void (*wait)(struct replay_device *device);
  /* The times of the latest launch; after wait(). */
  struct launch_time (*time)(struct replay_device *device);
  void (*destroy)(struct replay_device *device);
};

enum { DEVICE_ERROR_SIZE = 9216 };

struct replay_device {
  const struct device_operations *operations;
  const char *name;              /* "gpu", "cpu" */
  bool needs_staging;            /* view() copies */
  bool is_reference;             /* the C reference runs, and no kernel */
  char title[512];               /* "NVIDIA H200, sm_90 image from the cache" */
  char error[DEVICE_ERROR_SIZE]; /* "" while nothing has failed */
};

/* NULL without memory. */
struct replay_device *device_cpu_create(void);

/* NULL when it cannot be used; error says why. */
struct replay_device *device_gpu_create(const udm_options *options, int32_t ordinal, char *error,
                                        size_t error_size);

#endif
