/*
 * phase_call.c: the udm call of a phase: see phase_call.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "phase_call.h"

static struct output_shape shape_of(enum step_phase phase, const struct phase_call_setup *setup) {
  const struct replay_options *options = setup->options;
  return (struct output_shape){
      .num_backends = phase == DRAFT_DECODE ? options->num_backends : 1,
      .max_batch = options->max_batch,
      .max_tokens = options->max_batch * phase_most_tokens(setup->scheduler, phase),
      .columns = setup->columns,
      .page_size = options->page_size,
      .page_table_1 = !options->no_page_table_1,
      .num_sms = options->whole_step ? setup->device->num_sms : 0,
  };
}

/* The pointer table: row = output, column = backend. */
static void create_backend_pointers(struct phase_call *call) {
  const struct device_operations *operations = call->device->operations;
  const int32_t backends = call->outputs.shape.num_backends;
  const size_t bytes = UDM_OUTPUTS_PER_BACKEND * (size_t)backends * sizeof(int64_t);
  call->backend_pointers = operations->allocate(call->device, bytes);
  call->backend_pointers_staging = operations->allocate_staging(call->device, bytes);
  if (!call->backend_pointers || !call->backend_pointers_staging) return;
  for (int32_t b = 0; b < backends; ++b) {
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      const struct output_tensor *tensor = &call->outputs.tensors[b][o];
      call->backend_pointers_staging[o * backends + b] =
          tensor->allocation ? (int64_t)output_address(tensor, 0) : 0;
    }
  }
  operations->write(call->device, call->backend_pointers, call->backend_pointers_staging, bytes);
}

static void set_mode(udm_decode_args *args, enum step_phase phase,
                     const struct phase_call_setup *setup) {
  const struct scheduler_options *scheduler = setup->scheduler;
  static const udm_mode modes[PHASE_COUNT] = {UDM_MODE_DECODE, UDM_MODE_TARGET_VERIFY,
                                              UDM_MODE_DRAFT_EXTEND};
  args->mode = modes[phase];
  if (phase_is_ragged(scheduler, phase)) {
    args->extend_lens = setup->inputs->extend_lens.memory;
    args->extend_lens_type = setup->inputs->extend_lens.type;
  } else if (phase != DRAFT_DECODE) {
    args->tokens_per_request = phase_most_tokens(scheduler, phase);
  }
}

static void set_schedule(udm_decode_args *args, enum step_phase phase,
                         const struct phase_call_setup *setup) {
  args->num_sms = setup->device->num_sms;
  args->schedule_variant = setup->options->schedule;
  if (!setup->options->schedule_requests || phase_is_ragged(setup->scheduler, phase)) return;
  args->schedule_next_n = phase_most_tokens(setup->scheduler, phase);
  args->flags |= UDM_CTX_LENS_OF_REQUEST;
}

static void prepare_args(struct phase_call *call, const struct phase_call_setup *setup) {
  const struct replay_options *options = setup->options;
  call->args = (udm_decode_args)UDM_DECODE_ARGS_INIT;
  udm_decode_args *args = &call->args;
  args->seq_lens = setup->inputs->seq_lens.memory;
  args->req_pool_indices = setup->inputs->req_pool_indices.memory;
  args->req_to_token = setup->req_to_token->memory;
  args->seq_lens_type = options->seq_lens_type;
  args->req_pool_indices_type = options->req_pool_indices_type;
  args->req_to_token_stride = setup->req_to_token->stride;
  args->page_table_stride = options->no_page_table_1 ? 0 : call->outputs.page_table_stride;
  args->real_page_table_stride = call->outputs.real_page_table_stride;
  args->max_len = setup->max_len;
  args->num_backends = call->outputs.shape.num_backends;
  args->nsa_index_topk = options->nsa_index_topk;
  args->real_page_size = options->page_size;
  args->extent = options->extent;
  outputs_pointers(&call->outputs, args);
  if (!options->whole_step) return;
  set_mode(args, call->phase, setup);
  set_schedule(args, call->phase, setup);
}

bool phase_call_create(struct phase_call *call, enum step_phase phase,
                       const struct phase_call_setup *setup) {
  struct replay_device *device = setup->device;
  const struct output_shape shape = shape_of(phase, setup);
  *call = (struct phase_call){.phase = phase, .device = device};
  outputs_create(&call->outputs, device, &shape);
  if (setup->options->table) create_backend_pointers(call);
  prepare_args(call, setup);
  if (device->error[0] || !setup->options->check) return !device->error[0];
  return checker_create(&call->checker, device, &call->outputs, &call->args, phase,
                        setup->mismatches);
}

void phase_call_release(struct phase_call *call) {
  if (!call->device) return;
  const struct device_operations *operations = call->device->operations;
  if (call->checker.device) checker_destroy(&call->checker);
  outputs_release(&call->outputs, call->device);
  operations->release(call->device, call->backend_pointers);
  operations->release_staging(call->device, call->backend_pointers_staging);
  *call = (struct phase_call){.device = NULL};
}

struct launch_time phase_call_launch(struct phase_call *call, const struct phase_batch *batch) {
  struct replay_device *device = call->device;
  call->args.batch_size = batch->size;
  call->args.num_tokens = call->args.extend_lens ? batch->num_tokens : 0;
  device->operations->launch(device, &call->args, call->backend_pointers);
  device->operations->wait(device);
  return device->operations->time(device);
}
