/*
 * phase.h: the phases of a step, and the batch of a phase: where in the KV cache the query tokens
 * of each request lie. A query token sees the tokens up to itself, so positions give all lengths.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_SCHEDULER_PHASE_H
#define UDM_TOOLS_REPLAY_SCHEDULER_PHASE_H

#include "scheduler.h"

enum step_phase {
  DRAFT_DECODE,  /* the newest token, to draft from */
  TARGET_VERIFY, /* the tokens behind the KV cache, which may be accepted */
  DRAFT_EXTEND,  /* the accepted tokens, or with static_extend all that were verified */
  PHASE_COUNT
};

/* "draft_decode" */
const char *phase_name(enum step_phase phase);

/* A request of the batch, or padding behind them: then owner is whoever has row 0. */
struct phase_request {
  const struct decode_request *owner; /* of the row; NULL: no request has it */
  int32_t row;                        /* of req_to_token */
  int32_t first;                      /* position of the first query token; it may be negative */
  int32_t count;                      /* query tokens */
};

struct phase_batch {
  const struct batch_scheduler *scheduler;
  enum step_phase phase;
  int32_t size;                   /* requests, padding included */
  int32_t num_tokens;             /* rows for query tokens, whether or not a request needs them */
  struct phase_request *requests; /* max_batch of them */
};

/* Returns false if memory runs out. */
bool phase_batch_create(struct phase_batch *batch, const struct batch_scheduler *scheduler);
void phase_batch_destroy(struct phase_batch *batch);

/* Describes the running requests in a phase, padded to `size` requests. */
void phase_batch_set(struct phase_batch *batch, enum step_phase phase, int32_t size);

/* The most query tokens of a request in a phase. */
int32_t phase_most_tokens(const struct scheduler_options *options, enum step_phase phase);

/* Whether requests differ in their number of query tokens. */
static inline bool phase_is_ragged(const struct scheduler_options *options, enum step_phase phase) {
  return phase == DRAFT_EXTEND && !options->static_extend;
}

/* How many tokens query token j of the request sees. */
static inline int32_t phase_visible_tokens(const struct phase_request *request, int32_t j) {
  const int32_t tokens = request->first + j + 1;
  return tokens > 0 ? tokens : 0;
}

/* How many tokens the last query token sees: the KV length. */
static inline int32_t phase_kv_length(const struct phase_request *request) {
  return phase_visible_tokens(request, request->count - 1);
}

#endif
