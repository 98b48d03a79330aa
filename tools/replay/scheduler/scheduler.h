/*
 * scheduler.h: continuous batching: requests wait in order of arrival, join the batch when a
 * row of req_to_token and KV pages are free, gain tokens each step as
 * speculative drafts are accepted, and leave when their answer is complete.
 * When pages run out, the youngest request goes back to the queue.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_SCHEDULER_SCHEDULER_H
#define UDM_TOOLS_REPLAY_SCHEDULER_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "page_allocator.h"
#include "replay/trace/trace.h"
#include "row_history.h"

struct scheduler_options {
  int32_t max_batch;    /* requests at once: rows of req_to_token */
  int32_t max_context;  /* longer requests are rejected */
  int32_t page_size;    /* tokens per page */
  int32_t pool_pages;   /* pages that requests may hold, page 0 not counted */
  int32_t draft_tokens; /* a step gains 1 to 1 + draft_tokens tokens */
  uint64_t seed;
  bool loop; /* start the trace again when it ends */
};

struct decode_request {
  int64_t arrival; /* its number */
  int32_t input_length;
  int32_t output_length;
  int32_t generated;
  int32_t row;     /* of req_to_token */
  int32_t tokens;  /* in the KV cache */
  int32_t written; /* of them, whose slots stand in the row: the caller's to set */
  struct page_list pages;
};

struct scheduler_counts {
  int64_t admitted; /* again after a preemption, too */
  int64_t finished;
  int64_t rejected;
  int64_t preempted;
  int64_t generated; /* tokens */
  int64_t passes;    /* starts of the trace */
};

struct batch_scheduler {
  struct scheduler_options options;
  const struct request_trace *trace;
  size_t next; /* request of the trace */
  int64_t arrivals;
  uint64_t random;
  struct free_list pages;
  struct free_list rows;
  struct decode_request **running; /* in the order of the batch */
  int32_t running_count;
  struct decode_request **preempted; /* oldest first */
  int32_t preempted_count;
  struct decode_request **row_owner; /* by row; NULL: nobody */
  struct row_history *history;       /* by row */
  struct scheduler_counts counts;
};

/*
 * The trace must outlive the scheduler. False without memory. Page 0 and its
 * slots are never given to a request: padding may point there.
 */
bool scheduler_create(struct batch_scheduler *scheduler, const struct scheduler_options *options,
                      const struct request_trace *trace);
void scheduler_destroy(struct batch_scheduler *scheduler);

enum scheduler_status {
  STEP_READY, /* running[0 .. running_count) is the batch, every request a token longer */
  TRACE_DONE, /* nothing runs and nothing waits */
  STEP_NO_MEMORY,
  STEP_BROKEN /* the allocator was given back what it had not given: a fault of this program */
};

enum scheduler_status scheduler_step(struct batch_scheduler *scheduler);

/* Whether a request of these lengths can ever run. */
bool scheduler_accepts(const struct scheduler_options *options,
                       const struct trace_request *request);

#endif
