/*
 * input_tensors.h: the input tensors on the device.
 *
 * seq_lens, req_pool_indices and extend_lens describe the batch of a phase, each as int32 or int64.
 *
 * The replay updates req_to_token as a server does: each step writes only the slots of new tokens,
 * and nothing clears a row when its request leaves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_DEVICE_INPUT_TENSORS_H
#define UDM_TOOLS_REPLAY_DEVICE_INPUT_TENSORS_H

#include <stdbool.h>
#include <stdint.h>

#include "device.h"
#include "replay/scheduler/phase.h"

struct index_tensor {
  udm_int_type type;
  CUdeviceptr memory;
  void *staging;
};

struct batch_inputs {
  struct index_tensor seq_lens;
  struct index_tensor req_pool_indices;
  struct index_tensor extend_lens; /* of the type of seq_lens */
  uint64_t random;
};

/* A failure sets device->error; the caller may release the inputs then too. */
void batch_inputs_create(struct batch_inputs *inputs, struct replay_device *device,
                         int32_t max_batch, udm_int_type seq_lens_type,
                         udm_int_type req_pool_indices_type, uint64_t seed);
void batch_inputs_release(struct batch_inputs *inputs, struct replay_device *device);

/*
 * Writes the batch. UDM_EXTENT_ROW never reads the index of a request of length 0, so some padding
 * gets a random index then.
 */
void batch_inputs_write(struct batch_inputs *inputs, struct replay_device *device,
                        const struct phase_batch *batch, udm_extent extent);

struct req_to_token_tensor {
  CUdeviceptr memory; /* int32 [rows, stride] */
  int64_t stride;
  int32_t *staging;
  int32_t staging_used;
};

/* Fills the tensor with zeros. A failure sets device->error; the caller may release the tensor then
 * too. */
void req_to_token_create(struct req_to_token_tensor *tensor, struct replay_device *device,
                         int32_t rows, int32_t max_context);
void req_to_token_release(struct req_to_token_tensor *tensor, struct replay_device *device);

/* Writes the slots that the rows of the running requests lack, and sets request->written. */
void req_to_token_update(struct req_to_token_tensor *tensor, struct replay_device *device,
                         const struct batch_scheduler *scheduler);

#endif
