/*
 * A small replay whose every step is checked: see checker_fixture.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "checker_fixture.h"

#include <string.h>

#include "cmocka_headers.h"
#include "replay/device/device.h"

struct spoiling_device {
  struct device_operations operations; /* the CPU's, but for launch */
  const struct device_operations *cpu;
  int64_t step;
  int64_t spoil_step;
  spoil_function spoil;
};

/* A launch gets the device alone, so what spoils it is kept beside. */
static struct spoiling_device spoiler;

static void spoiling_launch(struct replay_device *device, const udm_decode_args *args,
                            CUdeviceptr backend_pointers) {
  spoiler.cpu->launch(device, args, backend_pointers);
  if (++spoiler.step == spoiler.spoil_step && spoiler.spoil) spoiler.spoil(args);
}

void fixture_run(const struct checked_replay *wanted, struct replay_result *result) {
  static struct trace_request requests[] = {{150, 20}, {3, 9},  {64, 40},
                                            {129, 1},  {1, 70}, {200, 5}};
  const struct request_trace trace = {"CSV", requests, sizeof requests / sizeof requests[0]};
  const struct replay_options options = {.max_batch = 5,
                                         .max_context = wanted->large_tables ? 120000 : 0,
                                         .page_size = wanted->page_size ? wanted->page_size : 16,
                                         .pool_tokens = wanted->pool_tokens,
                                         .draft_tokens = 3,
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
                                     .spoil = wanted->spoil};
  spoiler.operations.launch = spoiling_launch;
  device->operations = &spoiler.operations;
  const bool ran = replay_run(&trace, &options, device, result, error, sizeof error);
  device->operations->destroy(device);
  if (!ran) fail_msg("%s", error);
}

int64_t length_of(const udm_decode_args *args, int64_t row) {
  const void *lengths = (const void *)(uintptr_t)args->seq_lens;
  return args->seq_lens_type == UDM_INT64 ? ((const int64_t *)lengths)[row]
                                          : ((const int32_t *)lengths)[row];
}

CUdeviceptr pointer_of(const udm_backend_outputs *backend, int output) {
  CUdeviceptr pointers[UDM_OUTPUTS_PER_BACKEND];
  memcpy(pointers, backend, sizeof pointers);
  return pointers[output];
}
