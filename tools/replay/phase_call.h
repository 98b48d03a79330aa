/*
 * phase_call.h: the udm call of a phase: its arguments, the output tensors that it fills, and their
 * check.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_PHASE_CALL_H
#define UDM_TOOLS_REPLAY_PHASE_CALL_H

#include "options.h"
#include "replay/check/check.h"
#include "replay/device/input_tensors.h"
#include "replay/device/output_tensors.h"

struct phase_call {
  enum step_phase phase;
  struct replay_device *device;
  struct output_tensors outputs;
  struct step_checker checker;
  CUdeviceptr backend_pointers; /* int64 [7][num_backends]; 0: the direct call */
  int64_t *backend_pointers_staging;
  udm_decode_args args;
};

/* What the calls of all phases have in common. */
struct phase_call_setup {
  struct replay_device *device;
  const struct replay_options *options;
  const struct scheduler_options *scheduler;
  int32_t columns; /* of page_table_1 */
  int32_t max_len;
  const struct batch_inputs *inputs;
  const struct req_to_token_tensor *req_to_token;
  struct mismatch_log *mismatches;
};

/*
 * Returns false if memory runs out; device->error may say more, and the caller may release the call
 * then too. What setup points to must stay valid.
 */
bool phase_call_create(struct phase_call *call, enum step_phase phase,
                       const struct phase_call_setup *setup);
void phase_call_release(struct phase_call *call);

/* Launches the call for this batch, and waits for it. Returns its times. */
struct launch_time phase_call_launch(struct phase_call *call, const struct phase_batch *batch);

#endif
