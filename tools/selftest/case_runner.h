/*
 * case_runner.h: runs decode cases on a GPU: device memory for both arenas, grown as needed,
 * the launch with either call, the comparison of the whole output arena.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_SELFTEST_CASE_RUNNER_H
#define UDM_TOOLS_SELFTEST_CASE_RUNNER_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_driver.h"
#include "decode_case.h"
#include "udm.h"

struct device_arena {
  CUdeviceptr memory;
  size_t bytes;
};

/*
 * The CUDA context of udm and stream must be current in every call. After a
 * failure error is set; a case whose outputs are wrong is no failure.
 */
struct case_runner {
  const struct cuda_driver *driver;
  udm_context *udm;
  CUstream stream;
  struct device_arena inputs;
  struct device_arena outputs;
  void *staging;
  size_t staging_bytes;
  char error[9216];
};

#define CASE_RUNNER_INIT(driver, udm, stream) \
  { driver, udm, stream, {0, 0}, {0, 0}, NULL, 0, "" }

/* Brings the case's inputs, and what its outputs hold before the call, to the device. */
bool case_runner_upload(struct case_runner *runner, const struct decode_case *c);
/* The inputs alone: the next step of the same tensors. */
bool case_runner_upload_inputs(struct case_runner *runner, const struct decode_case *c);

/* Enqueues the udm call. Allocates and waits for nothing: legal while the stream is captured. */
bool case_runner_launch(struct case_runner *runner, const struct decode_case *c);

/* Waits; *matches: every byte of the outputs is as expected; else text says which is not. */
bool case_runner_compare(struct case_runner *runner, const struct decode_case *c, bool *matches,
                         char *text, size_t text_size);

void case_runner_release(struct case_runner *runner);

#endif
