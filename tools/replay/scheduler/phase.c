/*
 * phase.c: the batch of a phase: see phase.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "phase.h"

#include <stdlib.h>

const char *phase_name(enum step_phase phase) {
  static const char *const names[PHASE_COUNT] = {"draft_decode", "target_verify", "draft_extend"};
  return names[phase];
}

bool phase_batch_create(struct phase_batch *batch, const struct batch_scheduler *scheduler) {
  *batch = (struct phase_batch){.scheduler = scheduler};
  batch->requests = calloc((size_t)scheduler->options.max_batch, sizeof *batch->requests);
  return batch->requests != NULL;
}

void phase_batch_destroy(struct phase_batch *batch) {
  free(batch->requests);
  *batch = (struct phase_batch){.scheduler = NULL};
}

int32_t phase_most_tokens(const struct scheduler_options *options, enum step_phase phase) {
  return phase == DRAFT_DECODE ? 1 : scheduler_verify_tokens(options);
}

static struct phase_request of_request(const struct decode_request *request, enum step_phase phase,
                                       int32_t most_tokens, bool ragged) {
  struct phase_request found = {.owner = request, .row = request->row, .count = most_tokens};
  switch (phase) {
    case TARGET_VERIFY:
      found.first = request->tokens;
      break;
    case DRAFT_EXTEND:
      found.first = request->tokens - request->accepted;
      if (ragged) found.count = request->accepted;
      break;
    case DRAFT_DECODE:
    default:
      found.first = request->tokens - 1;
  }
  return found;
}

/* As SGLang pads: seq_lens 1 and row 0. A step of draft decode alone has seq_lens 0. */
static struct phase_request padding(const struct batch_scheduler *scheduler, enum step_phase phase,
                                    int32_t most_tokens, bool ragged) {
  const int32_t seq_len = scheduler->options.whole_step ? 1 : 0;
  const int32_t count = ragged ? 1 : most_tokens;
  return (struct phase_request){.owner = scheduler->row_owner[0],
                                .first = phase == TARGET_VERIFY ? seq_len : seq_len - count,
                                .count = count};
}

void phase_batch_set(struct phase_batch *batch, enum step_phase phase, int32_t size) {
  const struct batch_scheduler *scheduler = batch->scheduler;
  const int32_t most_tokens = phase_most_tokens(&scheduler->options, phase);
  const bool ragged = phase_is_ragged(&scheduler->options, phase);
  batch->phase = phase;
  batch->size = size;
  batch->num_tokens = size * most_tokens;
  for (int32_t i = 0; i < size; ++i) {
    batch->requests[i] = i < scheduler->running_count
                             ? of_request(scheduler->running[i], phase, most_tokens, ragged)
                             : padding(scheduler, phase, most_tokens, ragged);
  }
}
