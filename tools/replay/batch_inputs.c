/*
 * The tensors that describe a batch: see batch_inputs.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "batch_inputs.h"

#include "random.h"

static size_t bytes_of(const struct index_tensor *tensor, int32_t rows) {
  return (size_t)rows * (tensor->type == UDM_INT64 ? sizeof(int64_t) : sizeof(int32_t));
}

static void tensor_create(struct index_tensor *tensor, struct replay_device *device, int32_t rows,
                          udm_int_type type) {
  tensor->type = type;
  tensor->memory = device->operations->allocate(device, bytes_of(tensor, rows));
  tensor->staging = device->operations->allocate_staging(device, bytes_of(tensor, rows));
}

static void tensor_release(struct index_tensor *tensor, struct replay_device *device) {
  device->operations->release(device, tensor->memory);
  device->operations->release_staging(device, tensor->staging);
}

static void tensor_set(struct index_tensor *tensor, int32_t row, int64_t value) {
  if (tensor->type == UDM_INT64) {
    ((int64_t *)tensor->staging)[row] = value;
  } else {
    ((int32_t *)tensor->staging)[row] = (int32_t)value;
  }
}

void batch_inputs_create(struct batch_inputs *inputs, struct replay_device *device,
                         int32_t max_batch, udm_int_type seq_lens_type,
                         udm_int_type req_pool_indices_type, uint64_t seed) {
  *inputs = (struct batch_inputs){.random = ~seed};
  tensor_create(&inputs->seq_lens, device, max_batch, seq_lens_type);
  tensor_create(&inputs->req_pool_indices, device, max_batch, req_pool_indices_type);
}

void batch_inputs_release(struct batch_inputs *inputs, struct replay_device *device) {
  tensor_release(&inputs->seq_lens, device);
  tensor_release(&inputs->req_pool_indices, device);
  *inputs = (struct batch_inputs){.random = 0};
}

static void set_padding(struct batch_inputs *inputs, int32_t row, udm_extent extent) {
  const bool garbage = extent == UDM_EXTENT_ROW && row % 2 == 1;
  const int64_t index = garbage ? (int64_t)random_next(&inputs->random) : 0;
  tensor_set(&inputs->seq_lens, row, 0);
  tensor_set(&inputs->req_pool_indices, row, index);
}

void batch_inputs_write(struct batch_inputs *inputs, struct replay_device *device,
                        const struct batch_scheduler *scheduler, int32_t batch_size,
                        udm_extent extent) {
  for (int32_t i = 0; i < scheduler->running_count; ++i) {
    tensor_set(&inputs->seq_lens, i, scheduler->running[i]->tokens);
    tensor_set(&inputs->req_pool_indices, i, scheduler->running[i]->row);
  }
  for (int32_t i = scheduler->running_count; i < batch_size; ++i) set_padding(inputs, i, extent);
  device->operations->write(device, inputs->seq_lens.memory, inputs->seq_lens.staging,
                            bytes_of(&inputs->seq_lens, batch_size));
  device->operations->write(device, inputs->req_pool_indices.memory,
                            inputs->req_pool_indices.staging,
                            bytes_of(&inputs->req_pool_indices, batch_size));
}
