/*
 * run.h: the replay itself: a trace through the scheduler, and every step's metadata
 * of all backends in one udm call.
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
  struct scheduler_options scheduler; /* as they were resolved */
  int32_t max_len;                    /* likewise */
  struct scheduler_counts counts;
  int64_t steps;
  int64_t checked_steps;
  int64_t batch_sum; /* of running requests, over the steps */
  int64_t token_sum; /* of their tokens in the KV cache */
  int32_t max_batch_seen;
  int32_t max_padded_batch_seen;
  int32_t max_seq_len_seen;
  struct launch_time first_call;   /* negative: there was none */
  struct time_percentiles host_us; /* of the calls after it */
  struct time_percentiles gpu_us;
  struct mismatch_log mismatches;
  bool interrupted; /* by a signal, after the last of the steps */
};

/* False when it could not run to its end; error says why. A mismatch is no failure here. */
bool replay_run(const struct request_trace *trace, const struct replay_options *options,
                struct replay_device *device, struct replay_result *result, char *error,
                size_t error_size);

/* The smallest of 1, 2, 4, 8, 12, 16, 24, 32, 40 and so on that holds size; max_batch at most. */
int32_t replay_graph_batch_size(int32_t size, int32_t max_batch);

#endif
