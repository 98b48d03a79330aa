/*
 * check_strays.c: searches for stray writes where check_step() does not look: sweeps everything now
 * and then, and looks at columns before a step covers them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "check.h"

/* Records every one of count elements, from element first on, that is not the sentinel. */
static void report_strays(struct step_checker *checker, const int32_t *got, int64_t count,
                          int backend, int output, int64_t first) {
  const int64_t stride = output_stride(checker->outputs, output);
  const struct output_tensor *tensor = &checker->outputs->tensors[backend][output];
  for (int64_t i = 0; i < count; ++i) {
    if (got[i] == SENTINEL) continue;
    const int64_t element = first + i;
    const bool in_row = stride > 0 && element >= 0 && element < tensor->count;
    const struct wrong_element stray = {
        .step = checker->step,
        .or_before = checker->step - checker->swept_step > 1,
        .place = OUTSIDE_EXTENT,
        .phase = checker->phase,
        .backend = backend,
        .output = output,
        .row = in_row ? element / stride : -1,
        .column = in_row ? element % stride : element,
        .got = got[i],
        .want = SENTINEL,
    };
    mismatch_log_add(checker->log, &stray);
  }
}

static bool is_untouched(const int32_t *elements, int64_t count) {
  /* equal to itself shifted by one element: all are equal to the first */
  return elements[0] == SENTINEL &&
         memcmp(elements, elements + 1, (size_t)(count - 1) * sizeof *elements) == 0;
}

static void sweep_tensor(struct step_checker *checker, int backend, int output) {
  const struct output_tensor *tensor = &checker->outputs->tensors[backend][output];
  if (!tensor->allocation) return;
  const int64_t last = tensor->count + GUARD_ELEMENTS;
  const int64_t most = checker->staging ? checker->staging_count : output_total(tensor);
  for (int64_t first = -GUARD_ELEMENTS; first < last; first += most) {
    const int64_t count = most < last - first ? most : last - first;
    const CUdeviceptr address = output_address(tensor, first);
    const int32_t *got = checker_view(checker, address, count);
    checker_wait(checker);
    if (checker->device->error[0]) return;
    if (is_untouched(got, count)) continue;
    report_strays(checker, got, count, backend, output, first);
    checker->device->operations->fill(checker->device, address, SENTINEL, (size_t)count);
  }
}

void check_sweep(struct step_checker *checker) {
  for (int b = 0; b < checker->outputs->shape.num_backends; ++b) {
    for (int o = 0; o < OUTPUT_COUNT; ++o) sweep_tensor(checker, b, o);
  }
  checker->swept_step = checker->step;
}

static void check_covered_row(struct step_checker *checker, int32_t i) {
  const struct checked_row *row = &checker->rows[i];
  for (int b = 0; b < checker->outputs->shape.num_backends; ++b) {
    for (int t = 0; t < TABLE_COUNT; ++t) {
      const int32_t *got = row->views[b][t];
      const int64_t count = row->range[t].last - row->range[t].first;
      if (!got || is_untouched(got, count)) continue;
      /* no need to set the sentinel again: the step writes here, and check_step() looks */
      const int output = table_outputs[t];
      report_strays(checker, got, count, b, output,
                    i * output_stride(checker->outputs, output) + row->range[t].first);
    }
  }
}

void check_newly_covered(struct step_checker *checker, const struct phase_batch *batch) {
  checker_set_batch(checker, batch);
  for (int32_t i = 0; i < batch->num_tokens; ++i) {
    struct checked_row *row = &checker->rows[i];
    for (int t = 0; t < TABLE_COUNT; ++t) {
      row->range[t] = (struct column_range){row->clean[t], row->live[t]};
    }
  }
  for (int32_t first = 0, last = 0; first < batch->num_tokens; first = last) {
    last = checker_view_rows(checker, first);
    if (checker->device->error[0]) return;
    for (int32_t i = first; i < last; ++i) check_covered_row(checker, i);
  }
}
