/*
 * The replay itself: see run.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../progress.h"
#include "check.h"
#include "outputs.h"
#include "pool_size.h"
#include "random.h"
#include "req_to_token.h"

enum { kStepsPerSweep = 100, kSmallTables = 1 << 20 };

typedef struct replay_state {
  const replay_options *options;
  replay_device *device;
  replay_result *result;
  batch_scheduler scheduler;
  output_tensors outputs;
  req_to_token_tensor req_to_token;
  step_checker checker;
  CUdeviceptr seq_lens;         /* int32 [max_batch] */
  CUdeviceptr req_pool_indices; /* int64 [max_batch] */
  int32_t *seq_lens_staging;
  int64_t *req_pool_indices_staging;
  CUdeviceptr backend_pointers; /* int64 [7][num_backends]; 0: the direct entry */
  int64_t *backend_pointers_staging;
  udm_decode_args args;
  uint64_t random;
  time_samples host_us;
  time_samples gpu_us;
} replay_state;

int32_t replay_graph_batch_size(int32_t size, int32_t max_batch) {
  int32_t padded = size <= 2 ? size : size <= 4 ? 4 : (int32_t)(((int64_t)size + 7) / 8 * 8);
  /* 12 is a size of its own between 8 and 16 */
  if (size > 8 && size <= 12) padded = 12;
  return padded < max_batch ? padded : max_batch;
}

static void create_inputs(replay_state *run) {
  replay_device *device = run->device;
  const device_operations *operations = device->operations;
  const size_t rows = (size_t)run->options->max_batch;
  run->seq_lens = operations->allocate(device, rows * sizeof(int32_t));
  run->req_pool_indices = operations->allocate(device, rows * sizeof(int64_t));
  run->seq_lens_staging = operations->allocate_staging(device, rows * sizeof(int32_t));
  run->req_pool_indices_staging = operations->allocate_staging(device, rows * sizeof(int64_t));
  req_to_token_create(&run->req_to_token, device, run->options->max_batch,
                      run->scheduler.options.max_context);
}

/* The table entry's array: row = output, column = backend. */
static void create_backend_pointers(replay_state *run) {
  replay_device *device = run->device;
  const int32_t backends = run->options->num_backends;
  const size_t bytes = UDM_OUTPUTS_PER_BACKEND * (size_t)backends * sizeof(int64_t);
  run->backend_pointers = device->operations->allocate(device, bytes);
  run->backend_pointers_staging = device->operations->allocate_staging(device, bytes);
  if (!run->backend_pointers || !run->backend_pointers_staging) return;
  for (int32_t b = 0; b < backends; ++b) {
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      const output_tensor *tensor = &run->outputs.tensors[b][o];
      run->backend_pointers_staging[o * backends + b] =
          tensor->allocation ? (int64_t)output_address(tensor, 0) : 0;
    }
  }
  device->operations->write(device, run->backend_pointers, run->backend_pointers_staging, bytes);
}

static void prepare_args(replay_state *run) {
  const replay_options *options = run->options;
  run->args = (udm_decode_args)UDM_DECODE_ARGS_INIT;
  udm_decode_args *args = &run->args;
  args->seq_lens = run->seq_lens;
  args->req_pool_indices = run->req_pool_indices;
  args->req_to_token = run->req_to_token.memory;
  args->seq_lens_type = UDM_INT32;
  args->req_pool_indices_type = UDM_INT64;
  args->req_to_token_stride = run->req_to_token.stride;
  args->page_table_stride = run->outputs.page_table_stride;
  args->real_page_table_stride = run->outputs.real_page_table_stride;
  args->max_len = run->scheduler.options.max_context;
  args->num_backends = options->num_backends;
  args->nsa_index_topk = options->nsa_index_topk;
  args->real_page_size = options->page_size;
  args->extent = options->extent;
  outputs_pointers(&run->outputs, args->backends);
}

static bool create(replay_state *run, const request_trace *trace, char *error, size_t error_size) {
  const replay_options *options = run->options;
  const scheduler_options *resolved = &run->result->scheduler;
  const output_shape shape = {options->num_backends, options->max_batch, resolved->max_context,
                              options->page_size};
  bool created = scheduler_create(&run->scheduler, resolved, trace);
  if (created) {
    create_inputs(run);
    outputs_create(&run->outputs, run->device, &shape);
    if (options->table) create_backend_pointers(run);
    created = !options->check || checker_create(&run->checker, run->device, &run->outputs,
                                                options->extent, options->nsa_index_topk);
    run->device->operations->wait(run->device);
  }
  if (created && !run->device->error[0]) {
    prepare_args(run);
    return true;
  }
  snprintf(error, error_size,
           "no memory for a batch of %d requests of up to %d tokens and %d backends (%s): lower "
           "--max-batch, --max-context or --backends",
           options->max_batch, resolved->max_context, options->num_backends,
           run->device->error[0] ? run->device->error : "host memory");
  return false;
}

static void release(replay_state *run) {
  replay_device *device = run->device;
  const device_operations *operations = device->operations;
  operations->wait(device);
  if (run->checker.device) checker_destroy(&run->checker);
  outputs_release(&run->outputs, device);
  req_to_token_release(&run->req_to_token, device);
  operations->release(device, run->seq_lens);
  operations->release(device, run->req_pool_indices);
  operations->release(device, run->backend_pointers);
  operations->release_staging(device, run->seq_lens_staging);
  operations->release_staging(device, run->req_pool_indices_staging);
  operations->release_staging(device, run->backend_pointers_staging);
  scheduler_destroy(&run->scheduler);
  free(run->host_us.values);
  free(run->gpu_us.values);
}

/* Brings the batch, padded to batch_size rows, to the device. */
static void write_inputs(replay_state *run, int32_t batch_size) {
  const batch_scheduler *scheduler = &run->scheduler;
  replay_device *device = run->device;
  for (int32_t i = 0; i < batch_size; ++i) {
    const bool is_padding = i >= scheduler->running_count;
    run->seq_lens_staging[i] = is_padding ? 0 : scheduler->running[i]->tokens;
    if (!is_padding) {
      run->req_pool_indices_staging[i] = scheduler->running[i]->row;
    } else {
      /* per row, the index of an empty row is never looked at: anything may stand there */
      const bool garbage = run->options->extent == UDM_EXTENT_ROW && i % 2 == 1;
      run->req_pool_indices_staging[i] = garbage ? (int64_t)random_next(&run->random) : 0;
    }
  }
  req_to_token_update(&run->req_to_token, device, scheduler);
  device->operations->write(device, run->seq_lens, run->seq_lens_staging,
                            (size_t)batch_size * sizeof(int32_t));
  device->operations->write(device, run->req_pool_indices, run->req_pool_indices_staging,
                            (size_t)batch_size * sizeof(int64_t));
}

static void count_step(replay_state *run, int32_t batch_size) {
  replay_result *result = run->result;
  const batch_scheduler *scheduler = &run->scheduler;
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

/*
 * A stray write far behind a row is lost when a later step's row covers it
 * before the next sweep. Where the tables are small, every step is swept.
 */
static bool sweeps_every_step(const output_tensors *outputs) {
  const int64_t rows = outputs->shape.max_batch;
  return rows * outputs->page_table_stride * outputs->shape.num_backends <= kSmallTables;
}

/* One decode step of the batch that the scheduler has made. */
static bool step(replay_state *run) {
  replay_device *device = run->device;
  const int32_t batch_size =
      replay_graph_batch_size(run->scheduler.running_count, run->options->max_batch);
  count_step(run, batch_size);
  write_inputs(run, batch_size);
  run->args.batch_size = batch_size;
  device->operations->launch(device, &run->args, run->backend_pointers);
  device->operations->wait(device);
  const launch_time time = device->operations->time(device);
  if (device->error[0]) return false;
  if (!samples_add(&run->host_us, time.host_us)) return false;
  if (time.gpu_us >= 0 && !samples_add(&run->gpu_us, time.gpu_us)) return false;
  if (!run->options->check) return true;
  check_step(&run->checker, &run->scheduler, batch_size, run->result->steps);
  if (sweeps_every_step(&run->outputs) || run->result->steps % kStepsPerSweep == 0) {
    check_sweep(&run->checker);
  }
  ++run->result->checked_steps;
  return !device->error[0];
}

static bool run_steps(replay_state *run, char *error, size_t error_size) {
  const int64_t most = run->options->steps;
  progress_bar bar;
  bool done = true;
  const char *reason = NULL;
  progress_start(&bar, "replay", most);
  while (done && (most == 0 || run->result->steps < most)) {
    const scheduler_status status = scheduler_step(&run->scheduler);
    if (status == kTraceDone) break;
    done = status == kStepReady && step(run);
    if (!done) reason = status == kStepBroken ? "the page allocator lost count" : "out of memory";
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

bool replay_run(const request_trace *trace, const replay_options *options, replay_device *device,
                replay_result *result, char *error, size_t error_size) {
  replay_state run = {
      .options = options, .device = device, .result = result, .random = ~options->seed};
  *result = (replay_result){.steps = 0};
  if (!replay_pool_size(trace, options, &result->scheduler, error, error_size)) return false;
  const bool done = create(&run, trace, error, error_size) && run_steps(&run, error, error_size);
  result->counts = run.scheduler.counts;
  result->mismatches = run.checker.log;
  result->host_us = samples_percentiles(&run.host_us);
  result->gpu_us = samples_percentiles(&run.gpu_us);
  release(&run);
  return done;
}
