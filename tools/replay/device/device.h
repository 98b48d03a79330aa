/*
 * device.h: where a replay runs: on a GPU, or on the CPU with the C reference. Both have the same
 * operations, so steps and checks are written once.
 *
 * After a failure every operation does nothing. error holds the first failure, and the caller must
 * look at it.
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
  double host_us; /* the udm call; on the CPU, all the work of the reference */
  double gpu_us;  /* between events around the call; negative without a GPU */
};

struct replay_device;

struct device_operations {
  /* Returns device memory with 256-byte alignment; 0 on failure. */
  CUdeviceptr (*allocate)(struct replay_device *device, size_t bytes);
  void (*release)(struct replay_device *device, CUdeviceptr memory);
  /* Returns host memory for fast copies; NULL on failure. */
  void *(*allocate_staging)(struct replay_device *device, size_t bytes);
  void (*release_staging)(struct replay_device *device, void *memory);

  /* The next four run in order, and are complete after wait(). */
  void (*fill)(struct replay_device *device, CUdeviceptr to, int32_t value, size_t count);
  /* The caller must not change `from` until wait(). */
  void (*write)(struct replay_device *device, CUdeviceptr to, const void *from, size_t bytes);
  /*
   * Returns where the host can read count elements after wait(): staging, or the memory itself if
   * the host can read it.
   */
  const int32_t *(*view)(struct replay_device *device, CUdeviceptr from, size_t count,
                         int32_t *staging);
  /* Makes the direct call if backend_pointers is 0, else the pointer-table call. */
  void (*launch)(struct replay_device *device, const udm_decode_args *args,
                 CUdeviceptr backend_pointers);

  void (*wait)(struct replay_device *device);
  /* Returns the times of the latest launch. Call it after wait(). */
  struct launch_time (*time)(struct replay_device *device);
  void (*destroy)(struct replay_device *device);
};

enum { DEVICE_ERROR_SIZE = 9216 };

struct replay_device {
  const struct device_operations *operations;
  const char *name;              /* "gpu", "cpu" */
  bool needs_staging;            /* view() copies */
  bool is_reference;             /* the C reference runs in place of the kernel */
  int32_t num_sms;               /* SMs that share the work of the schedules */
  char title[512];               /* "GPU 0, NAME, sm_90, image from cache" */
  char error[DEVICE_ERROR_SIZE]; /* "": no failure */
};

/* Returns NULL if memory runs out. */
struct replay_device *device_cpu_create(void);

/* Returns NULL if the GPU cannot be used; error says why. */
struct replay_device *device_gpu_create(const udm_options *options, int32_t ordinal, char *error,
                                        size_t error_size);

#endif
