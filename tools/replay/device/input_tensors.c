/*
 * input_tensors.c: seq_lens, req_pool_indices and req_to_token on the device.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "input_tensors.h"

#include "numbers/random.h"

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

enum { STAGING_ELEMENTS = 1 << 20 };

void req_to_token_create(struct req_to_token_tensor *tensor, struct replay_device *device,
                         int32_t rows, int32_t max_context) {
  const struct device_operations *operations = device->operations;
  *tensor = (struct req_to_token_tensor){.stride = max_context};
  const size_t count = (size_t)rows * (size_t)max_context;
  tensor->memory = operations->allocate(device, count * sizeof(int32_t));
  tensor->staging = operations->allocate_staging(device, STAGING_ELEMENTS * sizeof(int32_t));
  if (tensor->memory && tensor->staging) operations->fill(device, tensor->memory, 0, count);
}

void req_to_token_release(struct req_to_token_tensor *tensor, struct replay_device *device) {
  device->operations->release(device, tensor->memory);
  device->operations->release_staging(device, tensor->staging);
  *tensor = (struct req_to_token_tensor){.stride = 0};
}

static void write_request(struct req_to_token_tensor *tensor, struct replay_device *device,
                          struct decode_request *request, int32_t page_size) {
  while (request->written < request->tokens) {
    if (tensor->staging_used == STAGING_ELEMENTS) {
      device->operations->wait(device);
      tensor->staging_used = 0;
    }
    const int32_t room = STAGING_ELEMENTS - tensor->staging_used;
    const int32_t left = request->tokens - request->written;
    const int32_t count = left < room ? left : room;
    int32_t *slots = tensor->staging + tensor->staging_used;
    page_list_slots(&request->pages, page_size, request->written, request->written + count, slots);
    const int64_t element = request->row * tensor->stride + request->written;
    device->operations->write(device, tensor->memory + (CUdeviceptr)element * sizeof(int32_t),
                              slots, (size_t)count * sizeof(int32_t));
    tensor->staging_used += count;
    request->written += count;
  }
}

void req_to_token_update(struct req_to_token_tensor *tensor, struct replay_device *device,
                         const struct batch_scheduler *scheduler) {
  tensor->staging_used = 0; /* the step before has been waited for */
  for (int32_t i = 0; i < scheduler->running_count; ++i) {
    write_request(tensor, device, scheduler->running[i], scheduler->options.page_size);
  }
}
