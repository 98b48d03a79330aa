/*
 * run.h: the replay: sends a trace through the scheduler, and fills the metadata of all backends in
 * one udm call per step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_RUN_H
#define UDM_TOOLS_REPLAY_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "numbers/time_samples.h"
#include "replay/check/mismatch.h"
#include "replay/device/device.h"
#include "replay/scheduler/scheduler.h"
#include "replay/trace/trace.h"

struct replay_options {
  int32_t max_batch;
  int32_t max_context; /* 0: the longest request of the trace, in whole pages */
  int32_t page_size;
  int64_t pool_tokens; /* 0: max_batch requests of average length */
  int32_t draft_tokens;
  int32_t num_backends;
  int32_t nsa_index_topk;
  int64_t steps; /* 0: until the trace is done */
  uint64_t seed;
  udm_extent extent;
  int32_t max_len; /* -1 or above max_context: max_context */
  udm_int_type seq_lens_type;
  udm_int_type req_pool_indices_type;
  bool no_page_table_1;
  bool table; /* the pointer-table call, else the direct call */
  bool check;
};

struct replay_result {
  struct scheduler_options scheduler; /* as the replay used them */
  int32_t max_len;                    /* as the replay used it */
  struct scheduler_counts counts;
  int64_t steps;
  int64_t checked_steps;
  int64_t batch_sum; /* running requests, summed over the steps */
  int64_t token_sum; /* their tokens in the KV cache, summed over the steps */
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
