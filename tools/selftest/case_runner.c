/*
 * case_runner.c: runs decode cases on a GPU: see case_runner.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "case_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool good(struct case_runner *runner, const char *call, CUresult result) {
  if (result == CUDA_SUCCESS) return true;
  snprintf(runner->error, sizeof runner->error, "%s failed with %s", call,
           cuda_driver_error(runner->driver, result));
  return false;
}

static bool reserve_arena(struct case_runner *runner, struct device_arena *arena, size_t bytes) {
  if (bytes <= arena->bytes) return true;
  if (arena->memory && !good(runner, "cuMemFree", runner->driver->cuMemFree_v2(arena->memory))) {
    return false;
  }
  *arena = (struct device_arena){0, 0};
  const size_t room = bytes + bytes / 2;
  if (!good(runner, "cuMemAlloc", runner->driver->cuMemAlloc_v2(&arena->memory, room))) {
    return false;
  }
  arena->bytes = room;
  return true;
}

static bool reserve_staging(struct case_runner *runner, size_t bytes) {
  if (bytes <= runner->staging_bytes) return true;
  free(runner->staging);
  runner->staging_bytes = bytes + bytes / 2;
  runner->staging = malloc(runner->staging_bytes);
  if (runner->staging) return true;
  runner->staging_bytes = 0;
  snprintf(runner->error, sizeof runner->error, "out of host memory");
  return false;
}

static bool reserve(struct case_runner *runner, const struct decode_case *c) {
  const size_t larger = c->input_bytes > c->output_bytes ? c->input_bytes : c->output_bytes;
  return reserve_arena(runner, &runner->inputs, c->input_bytes) &&
         reserve_arena(runner, &runner->outputs, c->output_bytes) &&
         reserve_staging(runner, larger);
}

static bool copy_inputs(struct case_runner *runner, const struct decode_case *c) {
  if (!reserve(runner, c)) return false;
  decode_case_place_inputs(c, runner->outputs.memory, runner->staging);
  return good(
      runner, "cuMemcpyHtoD",
      runner->driver->cuMemcpyHtoD_v2(runner->inputs.memory, runner->staging, c->input_bytes));
}

/* The copies ran on the default stream, and our stream does not wait for it. */
static bool finish_copies(struct case_runner *runner) {
  return good(runner, "cuCtxSynchronize", runner->driver->cuCtxSynchronize());
}

bool case_runner_upload_inputs(struct case_runner *runner, const struct decode_case *c) {
  return copy_inputs(runner, c) && finish_copies(runner);
}

bool case_runner_upload(struct case_runner *runner, const struct decode_case *c) {
  return copy_inputs(runner, c) &&
         good(runner, "cuMemcpyHtoD",
              runner->driver->cuMemcpyHtoD_v2(runner->outputs.memory, c->output_before,
                                              c->output_bytes)) &&
         finish_copies(runner);
}

bool case_runner_launch(struct case_runner *runner, const struct decode_case *c) {
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  decode_case_bind(c, runner->outputs.memory, runner->inputs.memory, &args);
  /* neither call may read the backends beyond num_backends: poison them */
  const int given = c->table ? 0 : args.num_backends;
  memset(args.backends + given, 0xa5, sizeof args.backends[0] * (size_t)(UDM_MAX_BACKENDS - given));
  for (int32_t b = args.num_backends; b < UDM_MAX_BACKENDS && !c->decode_only; ++b) {
    memset(&args.extra[b], 0xa5, sizeof args.extra[b]);
    args.seqlen_offset[b] = INT32_MAX;
  }
  const udm_status status =
      c->table
          ? udm_decode_metadata_table(
                runner->udm, &args, runner->inputs.memory + (CUdeviceptr)c->backend_pointers_offset,
                c->backend_pointers_stride, runner->stream)
          : udm_decode_metadata_direct(runner->udm, &args, runner->stream);
  if (status == UDM_OK) return true;
  snprintf(runner->error, sizeof runner->error, "%s", udm_last_error());
  return false;
}

bool case_runner_compare(struct case_runner *runner, const struct decode_case *c, bool *matches,
                         char *text, size_t text_size) {
  if (!good(runner, "cuStreamSynchronize", runner->driver->cuStreamSynchronize(runner->stream)) ||
      !good(runner, "cuMemcpyDtoH",
            runner->driver->cuMemcpyDtoH_v2(runner->staging, runner->outputs.memory,
                                            c->output_bytes))) {
    return false;
  }
  *matches = decode_case_matches(c, runner->staging, text, text_size);
  return true;
}

void case_runner_release(struct case_runner *runner) {
  if (runner->inputs.memory) runner->driver->cuMemFree_v2(runner->inputs.memory);
  if (runner->outputs.memory) runner->driver->cuMemFree_v2(runner->outputs.memory);
  free(runner->staging);
  runner->inputs = runner->outputs = (struct device_arena){0, 0};
  runner->staging = NULL;
  runner->staging_bytes = 0;
}
