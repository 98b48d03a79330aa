/*
 * input_tensors.c: the input tensors on the device: see input_tensors.h.
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
  tensor_create(&inputs->extend_lens, device, max_batch, seq_lens_type);
}

void batch_inputs_release(struct batch_inputs *inputs, struct replay_device *device) {
  tensor_release(&inputs->seq_lens, device);
  tensor_release(&inputs->req_pool_indices, device);
  tensor_release(&inputs->extend_lens, device);
  *inputs = (struct batch_inputs){.random = 0};
}

static void tensor_write(const struct index_tensor *tensor, struct replay_device *device,
                         int32_t rows) {
  device->operations->write(device, tensor->memory, tensor->staging, bytes_of(tensor, rows));
}

/* The tokens in the KV cache: in target verify, those before the query tokens. */
static int32_t seq_len_of(const struct phase_batch *batch, const struct phase_request *request) {
  return batch->phase == TARGET_VERIFY ? request->first : phase_kv_length(request);
}

void batch_inputs_write(struct batch_inputs *inputs, struct replay_device *device,
                        const struct phase_batch *batch, udm_extent extent) {
  for (int32_t i = 0; i < batch->size; ++i) {
    const struct phase_request *request = &batch->requests[i];
    const bool is_padding = i >= batch->scheduler->running_count;
    const bool garbage =
        is_padding && extent == UDM_EXTENT_ROW && phase_kv_length(request) == 0 && i % 2 == 1;
    const int64_t index = garbage ? (int64_t)random_next(&inputs->random) : request->row;
    tensor_set(&inputs->seq_lens, i, seq_len_of(batch, request));
    tensor_set(&inputs->req_pool_indices, i, index);
    tensor_set(&inputs->extend_lens, i, request->count);
  }
  tensor_write(&inputs->seq_lens, device, batch->size);
  tensor_write(&inputs->req_pool_indices, device, batch->size);
  tensor_write(&inputs->extend_lens, device, batch->size);
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
  while (request->written < request->slots) {
    if (tensor->staging_used == STAGING_ELEMENTS) {
      device->operations->wait(device);
      tensor->staging_used = 0;
    }
    const int32_t room = STAGING_ELEMENTS - tensor->staging_used;
    const int32_t left = request->slots - request->written;
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
  tensor->staging_used = 0; /* the last step is complete */
  for (int32_t i = 0; i < scheduler->running_count; ++i) {
    write_request(tensor, device, scheduler->running[i], scheduler->options.page_size);
  }
}
