/*
 * checker_fixture.c: a small replay with every step checked.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "checker_fixture.h"

#include <string.h>

#include "cmocka_headers.h"
#include "replay/device/output_tensors.h"

struct spoiling_device {
  struct device_operations operations; /* the CPU's, but for launch */
  const struct device_operations *cpu;
  int64_t step; /* counts the launches of the phase */
  int64_t spoil_step;
  udm_mode spoil_mode;
  spoil_function spoil;
};

/* A launch gets the device alone, so what spoils it is kept beside. */
static struct spoiling_device spoiler;

static void spoiling_launch(struct replay_device *device, const udm_decode_args *args,
                            CUdeviceptr backend_pointers) {
  spoiler.cpu->launch(device, args, backend_pointers);
  if (args->mode != spoiler.spoil_mode) return;
  if (++spoiler.step == spoiler.spoil_step && spoiler.spoil) spoiler.spoil(args);
}

void fixture_run(const struct checked_replay *wanted, struct replay_result *result) {
  static struct trace_request requests[] = {{150, 20}, {3, 9},  {64, 40},
                                            {129, 1},  {1, 70}, {200, 5}};
  const struct request_trace trace = {"CSV", requests, sizeof requests / sizeof requests[0], 0};
  const struct replay_options options = {.max_batch = 5,
                                         .max_context = wanted->large_tables ? 120000 : 0,
                                         .page_size = wanted->page_size ? wanted->page_size : 16,
                                         .pool_tokens = wanted->pool_tokens,
                                         .draft_tokens = 3,
                                         .whole_step = wanted->whole_step,
                                         .static_extend = wanted->static_extend,
                                         .schedule = wanted->schedule,
                                         .schedule_requests = wanted->schedule_requests,
                                         .num_backends = 2,
                                         .nsa_index_topk = 100,
                                         .steps = wanted->steps,
                                         .seed = 3,
                                         .extent = wanted->extent,
                                         .max_len = wanted->max_len ? wanted->max_len : -1,
                                         .seq_lens_type = wanted->seq_lens_type,
                                         .req_pool_indices_type = UDM_INT64,
                                         .no_page_table_1 = wanted->no_page_table_1,
                                         .table = wanted->table_entry,
                                         .check = true};
  char error[512] = "";
  struct replay_device *device = device_cpu_create();
  assert_non_null(device);
  spoiler = (struct spoiling_device){.operations = *device->operations,
                                     .cpu = device->operations,
                                     .spoil_step = wanted->spoil_step,
                                     .spoil_mode = (udm_mode)wanted->spoil_phase,
                                     .spoil = wanted->spoil};
  spoiler.operations.launch = spoiling_launch;
  device->operations = &spoiler.operations;
  const bool ran = replay_run(&trace, &options, device, result, error, sizeof error);
  device->operations->destroy(device);
  if (!ran) fail_msg("%s", error);
}

int64_t integer(CUdeviceptr values, udm_int_type type, int64_t index) {
  const void *elements_of = (const void *)(uintptr_t)values;
  return type == UDM_INT64 ? ((const int64_t *)elements_of)[index]
                           : ((const int32_t *)elements_of)[index];
}

int64_t length_of(const udm_decode_args *args, int64_t row) {
  return integer(args->seq_lens, args->seq_lens_type, row);
}

CUdeviceptr pointer_of(const udm_decode_args *args, int backend, int output) {
  CUdeviceptr pointers[OUTPUT_COUNT];
  memcpy(pointers, &args->backends[backend], sizeof args->backends[backend]);
  memcpy(pointers + UDM_OUTPUTS_PER_BACKEND, &args->extra[backend], sizeof args->extra[backend]);
  return pointers[output];
}
