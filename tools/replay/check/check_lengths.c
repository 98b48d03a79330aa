/*
 * check_lengths.c: compares lengths, prefix sums and schedules with what the allocator knows. These
 * tensors are small, so each is compared whole, guards included.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"
#include "want_schedule.h"

static bool is_table(int output) {
  return output == UDM_OUTPUT_PAGE_TABLE_1 || output == UDM_OUTPUT_REAL_PAGE_TABLE;
}

static bool is_prefix_sum(int output) {
  return output == UDM_OUTPUT_CU_SEQLENS_K || output == UDM_OUTPUT_NSA_CU_SEQLENS_K ||
         output == OUTPUT_CU_SEQLENS_Q;
}

/* Whether there is an element per request, not per query token. */
static bool is_of_requests(int output) {
  return output == UDM_OUTPUT_CACHE_SEQLENS || output == UDM_OUTPUT_CU_SEQLENS_K ||
         output == OUTPUT_CU_SEQLENS_Q;
}

static int32_t context_length(const struct step_checker *checker, int32_t row) {
  const struct checked_row *found = &checker->rows[row];
  const bool of_request = checker->args->flags & UDM_CTX_LENS_OF_REQUEST;
  if (!of_request || found->request < 0) return found->length;
  return phase_kv_length(&checker->batch->requests[found->request]);
}

/* Element i, or what it adds to a prefix sum. */
static int32_t want_length(const struct step_checker *checker, int output, int32_t i) {
  const int32_t topk = checker->args->nsa_index_topk;
  switch (output) {
    case UDM_OUTPUT_CACHE_SEQLENS:
    case UDM_OUTPUT_CU_SEQLENS_K:
      return phase_kv_length(&checker->batch->requests[i]);
    case OUTPUT_CU_SEQLENS_Q:
      return checker->batch->requests[i].count;
    case UDM_OUTPUT_NSA_CACHE_SEQLENS:
    case UDM_OUTPUT_NSA_CU_SEQLENS_K:
      return checker->rows[i].length < topk ? checker->rows[i].length : topk;
    case OUTPUT_CTX_LENS:
      return context_length(checker, i);
    default:
      return checker->rows[i].length;
  }
}

/* Returns how many elements there are. */
static int64_t want_lengths(const struct step_checker *checker, int output, int32_t *want) {
  const int32_t count = is_of_requests(output) ? checker->batch->size : checker->batch->num_tokens;
  uint32_t sum = 0; /* the sums wrap, as udm.h says */
  int64_t written = 0;
  if (is_prefix_sum(output)) want[written++] = 0;
  for (int32_t i = 0; i < count; ++i) {
    const int32_t length = want_length(checker, output, i);
    sum += (uint32_t)length;
    want[written++] = is_prefix_sum(output) ? (int32_t)sum : length;
  }
  return written;
}

static int64_t want_schedule_of_batch(struct step_checker *checker, int32_t *want) {
  const udm_decode_args *args = checker->args;
  const bool of_requests = args->schedule_next_n > 0;
  const int output = of_requests ? UDM_OUTPUT_CACHE_SEQLENS : UDM_OUTPUT_SEQLENS_EXPANDED;
  const int64_t rows = want_lengths(checker, output, checker->schedule_lengths);
  want_schedule(checker->schedule_lengths, (int32_t)rows, of_requests ? args->schedule_next_n : 1,
                args->schedule_variant, args->num_sms, want);
  return 2 * ((int64_t)args->num_sms + 1);
}

static void check_tensor(struct step_checker *checker, int backend, int output,
                         const int32_t *got) {
  const struct output_tensor *tensor = &checker->outputs->tensors[backend][output];
  const int64_t total = output_total(tensor);
  int32_t *want = checker->want_lengths;
  for (int64_t i = 0; i < total; ++i) want[i] = SENTINEL;
  const int64_t live = output == OUTPUT_SCHEDULE
                           ? want_schedule_of_batch(checker, want + GUARD_ELEMENTS)
                           : want_lengths(checker, output, want + GUARD_ELEMENTS);
  const struct wrong_element origin = {
      .backend = backend, .output = output, .row = -1, .column = -GUARD_ELEMENTS};
  checker_compare(checker, got, want, total, GUARD_ELEMENTS, GUARD_ELEMENTS + live, &origin);
  /* the whole allocation, so that a stray write is reported only once */
  checker->device->operations->fill(checker->device, tensor->allocation, SENTINEL, (size_t)total);
}

void check_lengths(struct step_checker *checker) {
  const struct output_tensors *outputs = checker->outputs;
  const int32_t *views[UDM_MAX_BACKENDS][OUTPUT_COUNT] = {{NULL}};
  for (int b = 0; b < outputs->shape.num_backends; ++b) {
    for (int o = 0; o < OUTPUT_COUNT; ++o) {
      const struct output_tensor *tensor = &outputs->tensors[b][o];
      if (is_table(o) || !tensor->allocation) continue;
      views[b][o] = checker_view(checker, tensor->allocation, output_total(tensor));
    }
  }
  checker_wait(checker);
  if (checker->device->error[0]) return;
  for (int b = 0; b < outputs->shape.num_backends; ++b) {
    for (int o = 0; o < OUTPUT_COUNT; ++o) {
      if (views[b][o]) check_tensor(checker, b, o, views[b][o]);
    }
  }
}
