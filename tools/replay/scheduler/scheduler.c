/*
 * scheduler.c: continuous batching: see scheduler.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scheduler.h"

#include <stdlib.h>
#include <string.h>

#include "numbers/random.h"

bool scheduler_create(struct batch_scheduler *scheduler, const struct scheduler_options *options,
                      const struct request_trace *trace) {
  const size_t rows = (size_t)options->max_batch;
  *scheduler =
      (struct batch_scheduler){.options = *options, .trace = trace, .random = options->seed};
  scheduler->counts.passes = 1;
  scheduler->running = calloc(rows, sizeof *scheduler->running);
  scheduler->preempted = calloc(rows, sizeof *scheduler->preempted);
  scheduler->row_owner = calloc(rows, sizeof *scheduler->row_owner);
  scheduler->history = calloc(rows, sizeof *scheduler->history);
  if (scheduler->running && scheduler->preempted && scheduler->row_owner && scheduler->history &&
      free_list_create(&scheduler->pages, 1, options->pool_pages) &&
      free_list_create(&scheduler->rows, 0, options->max_batch)) {
    return true;
  }
  scheduler_destroy(scheduler);
  return false;
}

static void free_request(struct decode_request *request) {
  page_list_free(&request->pages);
  free(request);
}

/* NULL is allowed. */
static void free_requests(struct decode_request **requests, int32_t count) {
  for (int32_t i = 0; requests && i < count; ++i) free_request(requests[i]);
  free(requests);
}

void scheduler_destroy(struct batch_scheduler *scheduler) {
  free_requests(scheduler->running, scheduler->running_count);
  free_requests(scheduler->preempted, scheduler->preempted_count);
  for (int32_t i = 0; scheduler->history && i < scheduler->options.max_batch; ++i) {
    row_history_free(&scheduler->history[i]);
  }
  free(scheduler->row_owner);
  free(scheduler->history);
  free_list_destroy(&scheduler->pages);
  free_list_destroy(&scheduler->rows);
  *scheduler = (struct batch_scheduler){.trace = NULL};
}

bool scheduler_accepts(const struct scheduler_options *options,
                       const struct trace_request *request) {
  const int32_t total = request->input_length + request->output_length;
  return total <= options->max_context &&
         pages_for(scheduler_most_slots(options, total), options->page_size) <= options->pool_pages;
}

int64_t scheduler_most_slots(const struct scheduler_options *options, int64_t tokens) {
  /* the last step begins one token before the end or earlier */
  return options->whole_step ? tokens - 1 + scheduler_verify_tokens(options) : tokens;
}

/* Takes the request off its row and frees its pages; the row's history keeps them. */
static enum scheduler_status vacate(struct batch_scheduler *scheduler,
                                    struct decode_request *request) {
  const int32_t row = request->row;
  if (!free_list_give(&scheduler->pages, request->pages.pages, request->pages.count) ||
      !free_list_give(&scheduler->rows, &row, 1)) {
    return STEP_BROKEN;
  }
  scheduler->row_owner[row] = NULL;
  if (request->written == 0) {
    page_list_free(&request->pages);
  } else if (!row_history_push(&scheduler->history[row], &request->pages, request->written)) {
    return STEP_NO_MEMORY;
  }
  request->tokens = 0;
  request->written = 0;
  return STEP_READY;
}

static enum scheduler_status retire_finished(struct batch_scheduler *scheduler) {
  int32_t kept = 0;
  enum scheduler_status status = STEP_READY;
  for (int32_t i = 0; i < scheduler->running_count; ++i) {
    struct decode_request *request = scheduler->running[i];
    if (status != STEP_READY || request->generated < request->output_length) {
      scheduler->running[kept++] = request;
      continue;
    }
    status = vacate(scheduler, request);
    ++scheduler->counts.finished;
    free_request(request);
  }
  scheduler->running_count = kept;
  return status;
}

/* The next request of the trace that can run; NULL: no more. */
static const struct trace_request *next_of_trace(struct batch_scheduler *scheduler) {
  bool started_again = false;
  for (;;) {
    if (scheduler->next == scheduler->trace->count) {
      if (!scheduler->options.loop || started_again) return NULL;
      started_again = true;
      scheduler->next = 0;
      ++scheduler->counts.passes;
    }
    const struct trace_request *found = &scheduler->trace->requests[scheduler->next];
    if (!scheduler_accepts(&scheduler->options, found)) {
      ++scheduler->counts.rejected;
    } else {
      return found;
    }
    ++scheduler->next;
  }
}

/* Whether the pages suffice for the next step of this request and of all running ones. */
static bool has_room(const struct batch_scheduler *scheduler, int64_t tokens) {
  const int32_t page_size = scheduler->options.page_size;
  const int64_t gain = scheduler_verify_tokens(&scheduler->options);
  if (scheduler->rows.count == 0) return false;
  if (scheduler->running_count == 0) return true; /* scheduler_accepts() checked it */
  int64_t needed = pages_for(tokens + gain, page_size);
  for (int32_t i = 0; i < scheduler->running_count; ++i) {
    const struct decode_request *running = scheduler->running[i];
    needed += pages_for(running->tokens + gain, page_size) - running->pages.count;
  }
  return needed <= scheduler->pages.count;
}

static enum scheduler_status start(struct batch_scheduler *scheduler,
                                   struct decode_request *request) {
  request->tokens = request->input_length + request->generated;
  const enum page_list_status status = page_list_grow(
      &request->pages, &scheduler->pages, request->tokens, scheduler->options.page_size);
  if (status == PAGES_NO_MEMORY) return STEP_NO_MEMORY;
  if (status == PAGES_NONE_FREE) return STEP_BROKEN; /* has_room() checked it */
  if (!free_list_take(&scheduler->rows, &request->row, 1)) return STEP_BROKEN;
  scheduler->row_owner[request->row] = request;
  scheduler->running[scheduler->running_count++] = request;
  ++scheduler->counts.admitted;
  return STEP_READY;
}

static enum scheduler_status admit_preempted(struct batch_scheduler *scheduler) {
  while (scheduler->preempted_count > 0) {
    struct decode_request *oldest = scheduler->preempted[0];
    if (!has_room(scheduler, (int64_t)oldest->input_length + oldest->generated)) break;
    const enum scheduler_status status = start(scheduler, oldest);
    if (status != STEP_READY) return status;
    --scheduler->preempted_count;
    memmove(scheduler->preempted, scheduler->preempted + 1,
            (size_t)scheduler->preempted_count * sizeof(struct decode_request *));
  }
  return STEP_READY;
}

static enum scheduler_status admit_arrivals(struct batch_scheduler *scheduler) {
  /* a new request does not overtake a preempted one */
  while (scheduler->preempted_count == 0) {
    const struct trace_request *waiting = next_of_trace(scheduler);
    if (!waiting || !has_room(scheduler, waiting->input_length)) break;
    struct decode_request *arrived = calloc(1, sizeof *arrived);
    if (!arrived) return STEP_NO_MEMORY;
    arrived->arrival = scheduler->arrivals++;
    arrived->input_length = waiting->input_length;
    arrived->output_length = waiting->output_length;
    const enum scheduler_status status = start(scheduler, arrived);
    if (status != STEP_READY) {
      free_request(arrived);
      return status;
    }
    ++scheduler->next;
  }
  return STEP_READY;
}

/* Sends the youngest running request back to the queue. *index is its former position. */
static enum scheduler_status preempt_youngest(struct batch_scheduler *scheduler, int32_t *index) {
  int32_t youngest = 0;
  for (int32_t i = 1; i < scheduler->running_count; ++i) {
    if (scheduler->running[i]->arrival > scheduler->running[youngest]->arrival) youngest = i;
  }
  struct decode_request *request = scheduler->running[youngest];
  const enum scheduler_status status = vacate(scheduler, request);
  if (status != STEP_READY) return status;
  --scheduler->running_count;
  memmove(scheduler->running + youngest, scheduler->running + youngest + 1,
          (size_t)(scheduler->running_count - youngest) * sizeof(struct decode_request *));
  int32_t place = scheduler->preempted_count++;
  for (; place > 0 && scheduler->preempted[place - 1]->arrival > request->arrival; --place) {
    scheduler->preempted[place] = scheduler->preempted[place - 1];
  }
  scheduler->preempted[place] = request;
  ++scheduler->counts.preempted;
  *index = youngest;
  return STEP_READY;
}

/* How many of the verified tokens the target model accepts: one, or more. */
static int32_t draw_accepted(struct batch_scheduler *scheduler,
                             const struct decode_request *request) {
  const int32_t remaining = request->output_length - request->generated;
  const int32_t accepted =
      1 + random_below(&scheduler->random, scheduler_verify_tokens(&scheduler->options));
  return accepted < remaining ? accepted : remaining;
}

static void gain_tokens(struct batch_scheduler *scheduler, struct decode_request *request,
                        int32_t accepted) {
  request->accepted = accepted;
  request->tokens += accepted;
  request->generated += accepted;
  scheduler->counts.generated += accepted;
}

/* Gets slots for the new tokens of running[*index], and moves *index to the next request. */
static enum scheduler_status grow(struct batch_scheduler *scheduler, int32_t *index) {
  struct decode_request *request = scheduler->running[*index];
  const bool whole_step = scheduler->options.whole_step;
  const int32_t gain =
      whole_step ? scheduler_verify_tokens(&scheduler->options) : draw_accepted(scheduler, request);
  for (;;) {
    const enum page_list_status pages = page_list_grow(
        &request->pages, &scheduler->pages, request->tokens + gain, scheduler->options.page_size);
    if (pages == PAGES_NO_MEMORY) return STEP_NO_MEMORY;
    if (pages == PAGES_OK) break;
    int32_t gone;
    const enum scheduler_status status = preempt_youngest(scheduler, &gone);
    if (status != STEP_READY) return status;
    if (gone < *index) --*index;
    if (request->row < 0 || scheduler->row_owner[request->row] != request) return STEP_READY;
  }
  request->slots = request->tokens + gain;
  if (!whole_step) gain_tokens(scheduler, request, gain);
  ++*index;
  return STEP_READY;
}

void scheduler_accept(struct batch_scheduler *scheduler) {
  for (int32_t i = 0; i < scheduler->running_count; ++i) {
    struct decode_request *request = scheduler->running[i];
    gain_tokens(scheduler, request, draw_accepted(scheduler, request));
  }
}

enum scheduler_status scheduler_step(struct batch_scheduler *scheduler) {
  enum scheduler_status status = retire_finished(scheduler);
  if (status == STEP_READY) status = admit_preempted(scheduler);
  if (status == STEP_READY) status = admit_arrivals(scheduler);
  for (int32_t i = 0; status == STEP_READY && i < scheduler->running_count;) {
    status = grow(scheduler, &i);
  }
  if (status == STEP_READY && scheduler->running_count == 0) return TRACE_DONE;
  return status;
}
