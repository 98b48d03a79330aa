/*
 * The req_to_token tensor on the device, kept up to date as a server does it:
 * each step only the slots of new tokens are written, and a row is never
 * cleared when its request leaves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_REQ_TO_TOKEN_H
#define UDM_TOOLS_REPLAY_REQ_TO_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "device.h"
#include "scheduler.h"

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
