/*
 * run.h: the replay: sends a trace through the scheduler, and fills the metadata of every phase of
 * a step, for all its backends, in one udm call.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_RUN_H
#define UDM_TOOLS_REPLAY_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "numbers/time_samples.h"
#include "options.h"
#include "replay/check/mismatch.h"
#include "replay/device/device.h"
#include "replay/scheduler/phase.h"
#include "replay/trace/trace.h"

struct replay_result {
  struct scheduler_options scheduler; /* as the replay used them */
  int32_t max_len;                    /* as the replay used it */
  struct scheduler_counts counts;
  int64_t steps;
  int64_t launches[PHASE_COUNT];
  int64_t checked[PHASE_COUNT]; /* launches whose outputs were compared */
  int64_t batch_sum;            /* running requests, summed over the steps */
  int64_t token_sum;            /* their tokens in the KV cache, summed over the steps */
  int32_t max_batch_seen;
  int32_t max_padded_batch_seen;
  int32_t max_seq_len_seen;
  struct launch_time first_call;   /* negative: no call */
  struct time_percentiles host_us; /* of the later calls */
  struct time_percentiles gpu_us;
  struct mismatch_log mismatches;
  bool interrupted; /* by a signal */
};

/* Returns false if it could not run to the end: error says why. A mismatch is not a failure. */
bool replay_run(const struct request_trace *trace, const struct replay_options *options,
                struct replay_device *device, struct replay_result *result, char *error,
                size_t error_size);

/* Returns the smallest of 1, 2, 4, 8, 12, 16, 24, 32, 40 and so on that holds size, or max_batch.
 */
int32_t replay_graph_batch_size(int32_t size, int32_t max_batch);

#endif
