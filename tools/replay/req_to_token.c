/*
 * The req_to_token tensor on the device: see req_to_token.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "req_to_token.h"

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
