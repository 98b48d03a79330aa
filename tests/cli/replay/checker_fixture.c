/*
 * A small replay whose every step is checked: see checker_fixture.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "checker_fixture.h"

#include "cmocka_headers.h"
#include "replay/device.h"

typedef struct spoiling_device {
  device_operations operations; /* the CPU's, but for launch */
  const device_operations *cpu;
  int64_t step;
  int64_t spoil_step;
  spoil_function spoil;
} spoiling_device;

/* A launch gets the device alone, so what spoils it is kept beside. */
static spoiling_device spoiler;

static void spoiling_launch(replay_device *device, const udm_decode_args *args,
                            CUdeviceptr backend_pointers) {
  spoiler.cpu->launch(device, args, backend_pointers);
  if (++spoiler.step == spoiler.spoil_step && spoiler.spoil) spoiler.spoil(args);
}

void fixture_run(udm_extent extent, int64_t steps, int64_t spoil_step, spoil_function spoil,
                 replay_result *result) {
  static trace_request requests[] = {{150, 20}, {3, 9}, {64, 40}, {129, 1}, {1, 70}, {200, 5}};
  const request_trace trace = {"CSV", requests, sizeof(requests) / sizeof(requests[0])};
  const replay_options options = {.max_batch = 5,
                                  .page_size = 16,
                                  .draft_tokens = 3,
                                  .num_backends = 2,
                                  .nsa_index_topk = 100,
                                  .steps = steps,
                                  .seed = 3,
                                  .extent = extent,
                                  .check = true};
  char error[512] = "";
  replay_device *device = device_cpu_create();
  assert_non_null(device);
  spoiler = (spoiling_device){.operations = *device->operations,
                              .cpu = device->operations,
                              .spoil_step = spoil_step,
                              .spoil = spoil};
  spoiler.operations.launch = spoiling_launch;
  device->operations = &spoiler.operations;
  const bool ran = replay_run(&trace, &options, device, result, error, sizeof(error));
  device->operations->destroy(device);
  if (!ran) fail_msg("%s", error);
}
