/*
 * input_tensors.h: the input tensors on the device.
 *
 * seq_lens and req_pool_indices describe a batch, each of int32 or int64 as servers
 * have them. Rows behind the running requests are padding.
 *
 * req_to_token is kept up to date as a server does it: each step writes only the
 * slots of new tokens, and a row is never cleared when its request leaves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_DEVICE_INPUT_TENSORS_H
#define UDM_TOOLS_REPLAY_DEVICE_INPUT_TENSORS_H

#include <stdbool.h>
#include <stdint.h>

#include "device.h"
#include "replay/scheduler/scheduler.h"

struct index_tensor {
  udm_int_type type;
  CUdeviceptr memory;
  void *staging;
};

struct batch_inputs {
  struct index_tensor seq_lens;
  struct index_tensor req_pool_indices;
  uint64_t random;
};

/* After a failure device->error is set and the inputs may be released. */
void batch_inputs_create(struct batch_inputs *inputs, struct replay_device *device,
                         int32_t max_batch, udm_int_type seq_lens_type,
                         udm_int_type req_pool_indices_type, uint64_t seed);
void batch_inputs_release(struct batch_inputs *inputs, struct replay_device *device);

/*
 * Writes the running requests, padded to batch_size rows. Padding has length 0;
 * under UDM_EXTENT_ROW, which never reads the index of such a row, some
 * of its indices are anything.
 */
void batch_inputs_write(struct batch_inputs *inputs, struct replay_device *device,
                        const struct batch_scheduler *scheduler, int32_t batch_size,
                        udm_extent extent);

struct req_to_token_tensor {
  CUdeviceptr memory; /* int32 [rows, stride] */
  int64_t stride;
  int32_t *staging;
  int32_t staging_used;
};

/* All zeros. After a failure device->error is set and the tensor may be released. */
void req_to_token_create(struct req_to_token_tensor *tensor, struct replay_device *device,
                         int32_t rows, int32_t max_context);
void req_to_token_release(struct req_to_token_tensor *tensor, struct replay_device *device);

/* Writes what the running requests have and their rows lack, and sets request->written. */
void req_to_token_update(struct req_to_token_tensor *tensor, struct replay_device *device,
                         const struct batch_scheduler *scheduler);

#endif
