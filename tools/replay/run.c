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
#include "replay/check/check.h"
#include "replay/device/input_tensors.h"
#include "replay/device/output_tensors.h"

static int32_t total_tokens(const struct trace_request *request) {
  return request->input_length + request->output_length;
}

/* Pages of max_batch average requests, and of the longest alone. */
static int64_t plausible_pages(const struct request_trace *trace,
                               const struct scheduler_options *options) {
  int64_t sum = 0;
  int64_t count = 0;
  int64_t longest = 1;
  for (size_t i = 0; i < trace->count; ++i) {
    const int32_t total = total_tokens(&trace->requests[i]);
    if (total > options->max_context) continue;
    const int64_t pages = pages_for(total, options->page_size);
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
    const struct trace_request *request = &trace->requests[i];
    if (request->output_length > 0 && scheduler_accepts(options, request)) return true;
  }
  return false;
}

/*
 * Resolves what the options leave open. False, with error, if no request of the
 * trace can run or slots do not fit into an int32.
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
      .seed = options->seed,
      .loop = options->steps > 0,
  };
  if (resolved->max_context == 0) {
    const int64_t rounded = pages_for(trace_longest(trace), options->page_size) * page_size;
    resolved->max_context =
        rounded > INT32_MAX - page_size ? INT32_MAX - (int32_t)page_size : (int32_t)rounded;
  }
  const int64_t pages =
      options->pool_tokens ? options->pool_tokens / page_size : plausible_pages(trace, resolved);
  /* the slots of page `pages` are the largest: page 0 is nobody's */
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
           "pool of %lld tokens, or has no output; raise --max-context and --pool-tokens",
           resolved->max_context, (long long)(pages * page_size));
  return false;
}

enum { STEPS_PER_SWEEP = 100, SMALL_TABLES = 1 << 20 };

struct replay_state {
  const struct replay_options *options;
  struct replay_device *device;
  struct replay_result *result;
  struct batch_scheduler scheduler;
  struct output_tensors outputs;
  struct req_to_token_tensor req_to_token;
  struct step_checker checker;
  struct batch_inputs inputs;
  CUdeviceptr backend_pointers; /* int64 [7][num_backends]; 0: the direct call */
  int64_t *backend_pointers_staging;
  udm_decode_args args;
  struct time_samples host_us;
  struct time_samples gpu_us;
};

int32_t replay_graph_batch_size(int32_t size, int32_t max_batch) {
  int32_t padded = size <= 2 ? size : size <= 4 ? 4 : (int32_t)(((int64_t)size + 7) / 8 * 8);
  /* 12 is a size of its own between 8 and 16 */
  if (size > 8 && size <= 12) padded = 12;
  return padded < max_batch ? padded : max_batch;
}

static void create_inputs(struct replay_state *run) {
  const struct replay_options *options = run->options;
  batch_inputs_create(&run->inputs, run->device, options->max_batch, options->seq_lens_type,
                      options->req_pool_indices_type, options->seed);
  req_to_token_create(&run->req_to_token, run->device, options->max_batch,
                      run->scheduler.options.max_context);
}

/* The pointer table: row = output, column = backend. */
static void create_backend_pointers(struct replay_state *run) {
  struct replay_device *device = run->device;
  const int32_t backends = run->options->num_backends;
  const size_t bytes = UDM_OUTPUTS_PER_BACKEND * (size_t)backends * sizeof(int64_t);
  run->backend_pointers = device->operations->allocate(device, bytes);
  run->backend_pointers_staging = device->operations->allocate_staging(device, bytes);
  if (!run->backend_pointers || !run->backend_pointers_staging) return;
  for (int32_t b = 0; b < backends; ++b) {
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      const struct output_tensor *tensor = &run->outputs.tensors[b][o];
      run->backend_pointers_staging[o * backends + b] =
          tensor->allocation ? (int64_t)output_address(tensor, 0) : 0;
    }
  }
  device->operations->write(device, run->backend_pointers, run->backend_pointers_staging, bytes);
}

static void prepare_args(struct replay_state *run) {
  const struct replay_options *options = run->options;
  run->args = (udm_decode_args)UDM_DECODE_ARGS_INIT;
  udm_decode_args *args = &run->args;
  args->seq_lens = run->inputs.seq_lens.memory;
  args->req_pool_indices = run->inputs.req_pool_indices.memory;
  args->req_to_token = run->req_to_token.memory;
  args->seq_lens_type = options->seq_lens_type;
  args->req_pool_indices_type = options->req_pool_indices_type;
  args->req_to_token_stride = run->req_to_token.stride;
  args->page_table_stride = options->no_page_table_1 ? 0 : run->outputs.page_table_stride;
  args->real_page_table_stride = run->outputs.real_page_table_stride;
  args->max_len = run->result->max_len;
  args->num_backends = options->num_backends;
  args->nsa_index_topk = options->nsa_index_topk;
  args->real_page_size = options->page_size;
  args->extent = options->extent;
  outputs_pointers(&run->outputs, args->backends);
}

static bool create(struct replay_state *run, const struct request_trace *trace, char *error,
                   size_t error_size) {
  const struct replay_options *options = run->options;
  const struct scheduler_options *resolved = &run->result->scheduler;
  const struct output_shape shape = {options->num_backends, options->max_batch,
                                     resolved->max_context, options->page_size,
                                     !options->no_page_table_1};
  bool created = scheduler_create(&run->scheduler, resolved, trace);
  if (created) {
    create_inputs(run);
    outputs_create(&run->outputs, run->device, &shape);
    if (options->table) create_backend_pointers(run);
    prepare_args(run);
    created =
        !options->check || checker_create(&run->checker, run->device, &run->outputs, &run->args);
    run->device->operations->wait(run->device);
  }
  if (created && !run->device->error[0]) return true;
  snprintf(error, error_size,
           "no memory for a batch of %d requests of up to %d tokens and %d backends (%s): lower "
           "--max-batch, --max-context or --backends",
           options->max_batch, resolved->max_context, options->num_backends,
           run->device->error[0] ? run->device->error : "host memory");
  return false;
}

static void release(struct replay_state *run) {
  struct replay_device *device = run->device;
  const struct device_operations *operations = device->operations;
  operations->wait(device);
  if (run->checker.device) checker_destroy(&run->checker);
  outputs_release(&run->outputs, device);
  req_to_token_release(&run->req_to_token, device);
  batch_inputs_release(&run->inputs, device);
  operations->release(device, run->backend_pointers);
  operations->release_staging(device, run->backend_pointers_staging);
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

/* If the tables are small, every step is swept: a stray write is found in its own step. */
static bool sweeps_every_step(const struct output_tensors *outputs) {
  const int64_t rows = outputs->shape.max_batch;
  return rows * outputs->page_table_stride * outputs->shape.num_backends <= SMALL_TABLES;
}

/* The first call is cold, and no sample of the others. */
static bool keep_times(struct replay_state *run, struct launch_time time) {
  if (run->result->steps == 1) {
    run->result->first_call = time;
    return true;
  }
  return samples_add(&run->host_us, time.host_us) &&
         (time.gpu_us < 0 || samples_add(&run->gpu_us, time.gpu_us));
}

/* One decode step of the batch that the scheduler has made. */
static bool step(struct replay_state *run) {
  struct replay_device *device = run->device;
  const int32_t batch_size =
      replay_graph_batch_size(run->scheduler.running_count, run->options->max_batch);
  count_step(run, batch_size);
  if (run->options->check) check_newly_covered(&run->checker, &run->scheduler, batch_size);
  batch_inputs_write(&run->inputs, device, &run->scheduler, batch_size, run->options->extent);
  req_to_token_update(&run->req_to_token, device, &run->scheduler);
  run->args.batch_size = batch_size;
  device->operations->launch(device, &run->args, run->backend_pointers);
  device->operations->wait(device);
  const struct launch_time time = device->operations->time(device);
  if (device->error[0]) return false;
  if (!keep_times(run, time)) return false;
  if (!run->options->check) return true;
  check_step(&run->checker, &run->scheduler, batch_size, run->result->steps);
  if (sweeps_every_step(&run->outputs) || run->result->steps % STEPS_PER_SWEEP == 0) {
    check_sweep(&run->checker);
  }
  ++run->result->checked_steps;
  return !device->error[0];
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
  if (done && run->options->check) check_sweep(&run->checker);
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
  result->max_len = result->scheduler.max_context;
  if (options->max_len >= 0 && options->max_len < result->max_len) {
    result->max_len = options->max_len;
  }
  const bool done = create(&run, trace, error, error_size) && run_steps(&run, error, error_size);
  result->interrupted = interrupted();
  result->counts = run.scheduler.counts;
  result->mismatches = run.checker.log;
  result->host_us = samples_percentiles(&run.host_us);
  result->gpu_us = samples_percentiles(&run.gpu_us);
  release(&run);
  return done;
}
