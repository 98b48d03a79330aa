/*
 * run.c: the replay itself: sizes the KV pool, then runs the steps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/interrupt.h"
#include "command/progress.h"
#include "phase_call.h"

static int32_t total_tokens(const struct trace_request *request) {
  return request->input_length + request->output_length;
}

/* Enough pages for max_batch average requests, and for the longest request. */
static int64_t plausible_pages(const struct request_trace *trace,
                               const struct scheduler_options *options) {
  int64_t sum = 0;
  int64_t count = 0;
  int64_t longest = 1;
  for (size_t i = 0; i < trace->count; ++i) {
    const int32_t total = total_tokens(&trace->requests[i]);
    if (total > options->max_context) continue;
    const int64_t pages = pages_for(scheduler_most_slots(options, total), options->page_size);
    if (pages > longest) longest = pages;
    sum += pages;
    ++count;
  }
  const int64_t average = count ? (sum + count - 1) / count : 0;
  const int64_t pages = average * options->max_batch;
  return pages > longest ? pages : longest;
}

static bool any_request_runs(const struct request_trace *trace,
                             const struct scheduler_options *options) {
  for (size_t i = 0; i < trace->count; ++i) {
    if (scheduler_accepts(options, &trace->requests[i])) return true;
  }
  return false;
}

/* A row of req_to_token has room for the tokens that a step verifies, as in a server. */
static int32_t columns_of(const struct scheduler_options *options) {
  return options->max_context + (options->whole_step ? scheduler_verify_tokens(options) : 0);
}

enum { LARGEST_CONTEXT = INT32_MAX - 65536 }; /* the most that --max-context may be */

/*
 * Fills in what the options leave open. Returns false and sets error if no request of the trace can
 * run, or if a slot does not fit into an int32.
 */
static bool resolve_pool_size(const struct request_trace *trace,
                              const struct replay_options *options,
                              struct scheduler_options *resolved, char *error, size_t error_size) {
  const int64_t page_size = options->page_size;
  *resolved = (struct scheduler_options){
      .max_batch = options->max_batch,
      .max_context = options->max_context,
      .page_size = options->page_size,
      .draft_tokens = options->draft_tokens,
      .whole_step = options->whole_step,
      .static_extend = options->static_extend,
      .seed = options->seed,
      .loop = options->steps > 0,
  };
  if (resolved->max_context == 0) {
    const int64_t rounded = pages_for(trace_longest(trace), options->page_size) * page_size;
    resolved->max_context = rounded > LARGEST_CONTEXT ? LARGEST_CONTEXT : (int32_t)rounded;
  }
  const int64_t pages =
      options->pool_tokens ? options->pool_tokens / page_size : plausible_pages(trace, resolved);
  /* the slots of page `pages` are the largest, because no request gets page 0 */
  if ((pages + 1) * page_size > INT32_MAX) {
    snprintf(error, error_size,
             "a KV pool of %lld pages of %lld tokens has slots past INT32_MAX: lower --max-batch, "
             "--max-context, --pool-tokens or --page-size",
             (long long)pages, (long long)page_size);
    return false;
  }
  resolved->pool_pages = (int32_t)pages;
  if (pages > 0 && any_request_runs(trace, resolved)) return true;
  snprintf(error, error_size,
           "no request of the trace can run: each is longer than --max-context %d or than the KV "
           "pool of %lld tokens; raise --max-context and --pool-tokens",
           resolved->max_context, (long long)(pages * page_size));
  return false;
}

enum { STEPS_PER_SWEEP = 100, SMALL_TABLES = 1 << 20 };

struct replay_state {
  const struct replay_options *options;
  struct replay_device *device;
  struct replay_result *result;
  struct batch_scheduler scheduler;
  struct phase_batch batch; /* of the present phase */
  struct req_to_token_tensor req_to_token;
  struct batch_inputs inputs;
  struct phase_call calls[PHASE_COUNT];
  struct time_samples host_us;
  struct time_samples gpu_us;
};

int32_t replay_graph_batch_size(int32_t size, int32_t max_batch) {
  int32_t padded = size <= 2 ? size : size <= 4 ? 4 : (int32_t)(((int64_t)size + 7) / 8 * 8);
  /* 12 lies between 8 and 16, outside the steps of 8 */
  if (size > 8 && size <= 12) padded = 12;
  return padded < max_batch ? padded : max_batch;
}

static int phase_count(const struct replay_state *run) {
  return run->options->whole_step ? PHASE_COUNT : 1;
}

static bool create_tensors(struct replay_state *run) {
  const struct replay_options *options = run->options;
  const int32_t columns = columns_of(&run->scheduler.options);
  bool created = true;
  batch_inputs_create(&run->inputs, run->device, options->max_batch, options->seq_lens_type,
                      options->req_pool_indices_type, options->seed);
  req_to_token_create(&run->req_to_token, run->device, options->max_batch, columns);
  const struct phase_call_setup setup = {.device = run->device,
                                         .options = options,
                                         .scheduler = &run->scheduler.options,
                                         .columns = columns,
                                         .max_len = run->result->max_len,
                                         .inputs = &run->inputs,
                                         .req_to_token = &run->req_to_token,
                                         .mismatches = &run->result->mismatches};
  for (int p = 0; created && p < phase_count(run); ++p) {
    created = phase_call_create(&run->calls[p], (enum step_phase)p, &setup);
  }
  run->device->operations->wait(run->device);
  return created && !run->device->error[0];
}

static bool create(struct replay_state *run, const struct request_trace *trace, char *error,
                   size_t error_size) {
  const struct scheduler_options *resolved = &run->result->scheduler;
  if (scheduler_create(&run->scheduler, resolved, trace) &&
      phase_batch_create(&run->batch, &run->scheduler) && create_tensors(run)) {
    return true;
  }
  snprintf(error, error_size,
           "no memory for a batch of %d requests of up to %d tokens and %d backends (%s): lower "
           "--max-batch, --max-context or --backends",
           resolved->max_batch, resolved->max_context, run->options->num_backends,
           run->device->error[0] ? run->device->error : "host memory");
  return false;
}

static void release(struct replay_state *run) {
  run->device->operations->wait(run->device);
  for (int p = 0; p < PHASE_COUNT; ++p) phase_call_release(&run->calls[p]);
  req_to_token_release(&run->req_to_token, run->device);
  batch_inputs_release(&run->inputs, run->device);
  phase_batch_destroy(&run->batch);
  scheduler_destroy(&run->scheduler);
  free(run->host_us.values);
  free(run->gpu_us.values);
}

static void count_step(struct replay_state *run, int32_t batch_size) {
  struct replay_result *result = run->result;
  const struct batch_scheduler *scheduler = &run->scheduler;
  ++result->steps;
  result->batch_sum += scheduler->running_count;
  if (scheduler->running_count > result->max_batch_seen) {
    result->max_batch_seen = scheduler->running_count;
  }
  if (batch_size > result->max_padded_batch_seen) result->max_padded_batch_seen = batch_size;
  for (int32_t i = 0; i < scheduler->running_count; ++i) {
    const int32_t tokens = scheduler->running[i]->tokens;
    result->token_sum += tokens;
    if (tokens > result->max_seq_len_seen) result->max_seq_len_seen = tokens;
  }
}

/* If the tables are small, a sweep per step finds a stray write in its own step. */
static bool sweeps_every_step(const struct output_tensors *outputs) {
  const int64_t rows = outputs->shape.max_tokens;
  return rows * outputs->page_table_stride * outputs->shape.num_backends <= SMALL_TABLES;
}

/* The first call is cold, so it is not a sample. */
static bool keep_times(struct replay_state *run, struct launch_time time) {
  struct replay_result *result = run->result;
  if (result->steps == 1 && result->launches[DRAFT_DECODE] == 0) {
    result->first_call = time;
    return true;
  }
  return samples_add(&run->host_us, time.host_us) &&
         (time.gpu_us < 0 || samples_add(&run->gpu_us, time.gpu_us));
}

/* Runs one phase for the scheduler's batch, padded to batch_size. */
static bool run_phase(struct replay_state *run, struct phase_call *call, int32_t batch_size) {
  const bool check = run->options->check;
  struct replay_device *device = run->device;
  struct replay_result *result = run->result;
  phase_batch_set(&run->batch, call->phase, batch_size);
  if (check) check_newly_covered(&call->checker, &run->batch);
  batch_inputs_write(&run->inputs, device, &run->batch, run->options->extent);
  req_to_token_update(&run->req_to_token, device, &run->scheduler);
  const struct launch_time time = phase_call_launch(call, &run->batch);
  if (device->error[0] || !keep_times(run, time)) return false;
  ++result->launches[call->phase];
  if (!check) return true;
  check_step(&call->checker, &run->batch, result->steps);
  if (sweeps_every_step(&call->outputs) || result->steps % STEPS_PER_SWEEP == 0) {
    check_sweep(&call->checker);
  }
  ++result->checked[call->phase];
  return !device->error[0];
}

/* Runs one step of the server for the scheduler's batch. */
static bool step(struct replay_state *run) {
  const int32_t batch_size =
      replay_graph_batch_size(run->scheduler.running_count, run->options->max_batch);
  bool done = true;
  count_step(run, batch_size);
  for (int p = 0; done && p < phase_count(run); ++p) {
    if (p == DRAFT_EXTEND) scheduler_accept(&run->scheduler);
    done = run_phase(run, &run->calls[p], batch_size);
  }
  return done;
}

static bool run_steps(struct replay_state *run, char *error, size_t error_size) {
  const int64_t most = run->options->steps;
  struct progress_bar bar;
  bool done = true;
  const char *reason = NULL;
  progress_start(&bar, "replay", most);
  while (done && !interrupted() && (most == 0 || run->result->steps < most)) {
    const enum scheduler_status status = scheduler_step(&run->scheduler);
    if (status == TRACE_DONE) break;
    done = status == STEP_READY && step(run);
    if (!done) reason = status == STEP_BROKEN ? "the page allocator lost count" : "out of memory";
    progress_update(&bar, run->result->steps);
  }
  for (int p = 0; done && run->options->check && p < phase_count(run); ++p) {
    check_sweep(&run->calls[p].checker);
  }
  progress_finish(&bar);
  if (run->device->error[0]) reason = run->device->error;
  if (reason) {
    snprintf(error, error_size, "step %" PRId64 ": %s", run->result->steps, reason);
  }
  return !reason;
}

bool replay_run(const struct request_trace *trace, const struct replay_options *options,
                struct replay_device *device, struct replay_result *result, char *error,
                size_t error_size) {
  struct replay_state run = {.options = options, .device = device, .result = result};
  *result = (struct replay_result){.first_call = {-1, -1}};
  if (!resolve_pool_size(trace, options, &result->scheduler, error, error_size)) return false;
  result->max_len = columns_of(&result->scheduler);
  if (options->max_len >= 0 && options->max_len < result->max_len) {
    result->max_len = options->max_len;
  }
  const bool done = create(&run, trace, error, error_size) && run_steps(&run, error, error_size);
  result->interrupted = interrupted();
  result->counts = run.scheduler.counts;
  result->host_us = samples_percentiles(&run.host_us);
  result->gpu_us = samples_percentiles(&run.gpu_us);
  release(&run);
  return done;
}
