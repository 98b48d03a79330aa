/*
 * scheduler.h: continuous batching. Requests wait in order of arrival, and join the batch when a
 * row of req_to_token and KV pages are free. Each step a request accepts speculative drafts and
 * gains tokens; it leaves when its answer is complete. If pages run out, the youngest request
 * returns to the queue.
 *
 * If a step is a whole iteration, requests first get slots for the tokens to be verified, and gain
 * the accepted ones later, in scheduler_accept(). The slots of rejected tokens stay in the row of
 * req_to_token; the next step uses them again.
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
  bool whole_step;      /* draft decode, target verify and draft extend; else draft decode alone */
  bool static_extend;   /* draft extend reads all verified tokens, not only the accepted ones */
  uint64_t seed;
  bool loop; /* start the trace again when it ends */
};

struct decode_request {
  int64_t arrival; /* its position in the order of arrival */
  int32_t input_length;
  int32_t output_length;
  int32_t generated;
  int32_t row;      /* of req_to_token */
  int32_t tokens;   /* in the KV cache */
  int32_t accepted; /* those that the latest step added */
  int32_t slots;    /* of its tokens, and of those that this step verifies */
  int32_t written;  /* how many slots are in the row; the caller sets it */
  struct page_list pages;
};

struct scheduler_counts {
  int64_t admitted; /* again after each preemption */
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
  struct decode_request **row_owner; /* by row; NULL: no request */
  struct row_history *history;       /* by row */
  struct scheduler_counts counts;
};

/*
 * The trace must outlive the scheduler. No request gets page 0 and its slots, because padding may
 * point there. Returns false if memory runs out.
 */
bool scheduler_create(struct batch_scheduler *scheduler, const struct scheduler_options *options,
                      const struct request_trace *trace);
void scheduler_destroy(struct batch_scheduler *scheduler);

enum scheduler_status {
  STEP_READY, /* running[0 .. running_count) is the batch; every request got slots */
  TRACE_DONE, /* nothing runs and nothing waits */
  STEP_NO_MEMORY,
  STEP_BROKEN /* a bug of this program: a page came back that was not taken */
};

enum scheduler_status scheduler_step(struct batch_scheduler *scheduler);

/* In a whole step, after target verify: every running request gains the tokens that it accepts. */
void scheduler_accept(struct batch_scheduler *scheduler);

/* The tokens of a request that one step verifies. */
static inline int32_t scheduler_verify_tokens(const struct scheduler_options *options) {
  return 1 + options->draft_tokens;
}

/* The most slots that a request of so many tokens, answer included, ever has. */
int64_t scheduler_most_slots(const struct scheduler_options *options, int64_t tokens);

/* Whether a request of these lengths can ever run. */
bool scheduler_accepts(const struct scheduler_options *options,
                       const struct trace_request *request);

#endif
