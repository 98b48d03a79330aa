/*
 * The check of the tensors that hold a number a request: lengths and their
 * prefix sums. They are small, so each is compared whole, guards included.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <limits.h>

#include "check.h"

static const int kLengthOutputs[] = {kCacheSeqlens, kCuSeqlensK, kNsaCacheSeqlens, kNsaCuSeqlensK,
                                     kSeqlensExpanded};
enum { kLengthOutputCount = sizeof(kLengthOutputs) / sizeof(kLengthOutputs[0]) };

static bool is_prefix_sum(int output) { return output == kCuSeqlensK || output == kNsaCuSeqlensK; }

static bool is_nsa(int output) { return output == kNsaCacheSeqlens || output == kNsaCuSeqlensK; }

/* Fills want with the whole allocation; returns how many elements had to be written. */
static int64_t want_tensor(step_checker *checker, const batch_scheduler *scheduler,
                           int32_t batch_size, int output, int64_t total) {
  int32_t *want = checker->want_lengths;
  const int32_t most = is_nsa(output) ? checker->nsa_index_topk : INT32_MAX;
  uint32_t sum = 0; /* the contract's sums wrap */
  int64_t next = kGuardElements;
  for (int64_t i = 0; i < total; ++i) want[i] = kSentinel;
  if (is_prefix_sum(output)) want[next++] = 0;
  for (int32_t i = 0; i < batch_size; ++i) {
    const int32_t tokens = checker_length(scheduler, i);
    const int32_t length = tokens < most ? tokens : most;
    sum += (uint32_t)length;
    want[next++] = is_prefix_sum(output) ? (int32_t)sum : length;
  }
  return next - kGuardElements;
}

static void check_backend(step_checker *checker, const batch_scheduler *scheduler,
                          int32_t batch_size, int b, const int32_t *views[kLengthOutputCount]) {
  for (int k = 0; k < kLengthOutputCount; ++k) {
    const int output = kLengthOutputs[k];
    const output_tensor *tensor = &checker->outputs->tensors[b][output];
    const int64_t total = output_total(tensor);
    const int64_t live = want_tensor(checker, scheduler, batch_size, output, total);
    const wrong_element origin = {
        .backend = b, .output = output, .row = -1, .column = -kGuardElements};
    checker_compare(checker, views[k], checker->want_lengths, total, kGuardElements,
                    kGuardElements + live, &origin);
    /* the whole allocation: a stray write is reported once */
    checker->device->operations->fill(checker->device, tensor->allocation, kSentinel,
                                      (size_t)total);
  }
}

void check_lengths(step_checker *checker, const batch_scheduler *scheduler, int32_t batch_size) {
  const output_tensors *outputs = checker->outputs;
  const int32_t *views[UDM_MAX_BACKENDS][kLengthOutputCount];
  for (int b = 0; b < outputs->shape.num_backends; ++b) {
    for (int k = 0; k < kLengthOutputCount; ++k) {
      const output_tensor *tensor = &outputs->tensors[b][kLengthOutputs[k]];
      views[b][k] = checker_view(checker, tensor->allocation, output_total(tensor));
    }
  }
  checker_wait(checker);
  if (checker->device->error[0]) return;
  for (int b = 0; b < outputs->shape.num_backends; ++b) {
    check_backend(checker, scheduler, batch_size, b, views[b]);
  }
}
