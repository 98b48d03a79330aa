/*
 * The check of the tensors that hold a number a request: lengths and their
 * prefix sums. They are small, so each is compared whole, guards included.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <limits.h>

#include "check.h"

static const int length_outputs[] = {CACHE_SEQLENS, CU_SEQLENS_K, NSA_CACHE_SEQLENS,
                                     NSA_CU_SEQLENS_K, SEQLENS_EXPANDED};
enum { LENGTH_OUTPUT_COUNT = sizeof length_outputs / sizeof length_outputs[0] };

static bool is_prefix_sum(int output) {
  return output == CU_SEQLENS_K || output == NSA_CU_SEQLENS_K;
}

static bool is_nsa(int output) { return output == NSA_CACHE_SEQLENS || output == NSA_CU_SEQLENS_K; }

/* Fills want with the whole allocation; returns how many elements had to be written. */
static int64_t want_tensor(struct step_checker *checker, const struct batch_scheduler *scheduler,
                           int32_t batch_size, int output, int64_t total) {
  int32_t *want = checker->want_lengths;
  const int32_t most = is_nsa(output) ? checker->nsa_index_topk : INT32_MAX;
  uint32_t sum = 0; /* the contract's sums wrap */
  int64_t next = GUARD_ELEMENTS;
  for (int64_t i = 0; i < total; ++i) want[i] = SENTINEL;
  if (is_prefix_sum(output)) want[next++] = 0;
  for (int32_t i = 0; i < batch_size; ++i) {
    const int32_t tokens = checker_length(scheduler, i);
    const int32_t length = tokens < most ? tokens : most;
    sum += (uint32_t)length;
    want[next++] = is_prefix_sum(output) ? (int32_t)sum : length;
  }
  return next - GUARD_ELEMENTS;
}

static void check_backend(struct step_checker *checker, const struct batch_scheduler *scheduler,
                          int32_t batch_size, int b, const int32_t *views[LENGTH_OUTPUT_COUNT]) {
  for (int k = 0; k < LENGTH_OUTPUT_COUNT; ++k) {
    const int output = length_outputs[k];
    const struct output_tensor *tensor = &checker->outputs->tensors[b][output];
    const int64_t total = output_total(tensor);
    const int64_t live = want_tensor(checker, scheduler, batch_size, output, total);
    const struct wrong_element origin = {
        .backend = b, .output = output, .row = -1, .column = -GUARD_ELEMENTS};
    checker_compare(checker, views[k], checker->want_lengths, total, GUARD_ELEMENTS,
                    GUARD_ELEMENTS + live, &origin);
    /* the whole allocation: a stray write is reported once */
    checker->device->operations->fill(checker->device, tensor->allocation, SENTINEL, (size_t)total);
  }
}

void check_lengths(struct step_checker *checker, const struct batch_scheduler *scheduler,
                   int32_t batch_size) {
  const struct output_tensors *outputs = checker->outputs;
  const int32_t *views[UDM_MAX_BACKENDS][LENGTH_OUTPUT_COUNT];
  for (int b = 0; b < outputs->shape.num_backends; ++b) {
    for (int k = 0; k < LENGTH_OUTPUT_COUNT; ++k) {
      const struct output_tensor *tensor = &outputs->tensors[b][length_outputs[k]];
      views[b][k] = checker_view(checker, tensor->allocation, output_total(tensor));
    }
  }
  checker_wait(checker);
  if (checker->device->error[0]) return;
  for (int b = 0; b < outputs->shape.num_backends; ++b) {
    check_backend(checker, scheduler, batch_size, b, views[b]);
  }
}
