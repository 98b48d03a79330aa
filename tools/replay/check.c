/*
 * Compares what a step wrote with what the allocator knows: see check.h. Here
 * are the comparison itself, the staging memory and the sweep.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

/* Room for the lengths of all backends, and for one row of their tables, at the least. */
static int64_t staging_needed(const output_tensors *outputs) {
  const int64_t backends = outputs->shape.num_backends;
  const int64_t lengths = 5 * ((int64_t)outputs->shape.max_batch + 1 + kBothGuards);
  const int64_t row = outputs->page_table_stride + outputs->real_page_table_stride;
  return largest((int64_t)8 << 20, backends * largest(lengths, row));
}

bool checker_create(step_checker *checker, replay_device *device, const output_tensors *outputs,
                    udm_extent extent, int32_t nsa_index_topk) {
  *checker = (step_checker){
      .device = device, .outputs = outputs, .extent = extent, .nsa_index_topk = nsa_index_topk};
  const size_t max_batch = (size_t)outputs->shape.max_batch;
  const size_t lengths = max_batch + 1 + kBothGuards;
  checker->want_slots = malloc((size_t)outputs->page_table_stride * sizeof(int32_t));
  checker->want_pages = malloc((size_t)outputs->real_page_table_stride * sizeof(int32_t));
  checker->want_lengths = malloc(lengths * sizeof(int32_t));
  checker->rows = calloc(max_batch, sizeof(*checker->rows));
  if (!checker->want_slots || !checker->want_pages || !checker->want_lengths || !checker->rows) {
    return false;
  }
  if (!device->needs_staging) return true;
  checker->staging_count = staging_needed(outputs);
  checker->staging = device->operations->allocate_staging(
      device, (size_t)checker->staging_count * sizeof(int32_t));
  return checker->staging != NULL;
}

void checker_destroy(step_checker *checker) {
  if (checker->staging) {
    checker->device->operations->release_staging(checker->device, checker->staging);
  }
  free(checker->want_slots);
  free(checker->want_pages);
  free(checker->want_lengths);
  free(checker->rows);
  *checker = (step_checker){.device = NULL};
}

bool checker_has_staging(const step_checker *checker, int64_t count) {
  return !checker->staging || checker->staging_used + count <= checker->staging_count;
}

const int32_t *checker_view(step_checker *checker, CUdeviceptr from, int64_t count) {
  int32_t *staging = checker->staging ? checker->staging + checker->staging_used : NULL;
  if (staging) checker->staging_used += count;
  return checker->device->operations->view(checker->device, from, (size_t)count, staging);
}

void checker_wait(step_checker *checker) {
  checker->device->operations->wait(checker->device);
  checker->staging_used = 0;
}

void checker_compare(step_checker *checker, const int32_t *got, const int32_t *want, int64_t count,
                     int64_t first_live, int64_t last_live, const wrong_element *origin) {
  if (memcmp(got, want, (size_t)count * sizeof(*got)) == 0) return;
  for (int64_t i = 0; i < count; ++i) {
    if (got[i] == want[i]) continue;
    wrong_element found = *origin;
    found.step = checker->step;
    found.place = i >= first_live && i < last_live ? kInValues : kOutsideExtent;
    found.column += i;
    found.got = got[i];
    found.want = want[i];
    mismatch_log_add(&checker->log, &found);
  }
}

int32_t checker_length(const batch_scheduler *scheduler, int32_t i) {
  return i < scheduler->running_count ? scheduler->running[i]->tokens : 0;
}

void check_step(step_checker *checker, const batch_scheduler *scheduler, int32_t batch_size,
                int64_t step) {
  checker->step = step;
  check_lengths(checker, scheduler, batch_size);
  check_tables(checker, scheduler, batch_size);
}

/* Records every element of the chunk, which starts at element first, that is not the sentinel. */
static void report_strays(step_checker *checker, const int32_t *got, int64_t count, int backend,
                          int output, int64_t first) {
  const int64_t stride = output == kPageTable1      ? checker->outputs->page_table_stride
                         : output == kRealPageTable ? checker->outputs->real_page_table_stride
                                                    : 0;
  const output_tensor *tensor = &checker->outputs->tensors[backend][output];
  for (int64_t i = 0; i < count; ++i) {
    if (got[i] == kSentinel) continue;
    const int64_t element = first + i;
    const bool in_row = stride > 0 && element >= 0 && element < tensor->count;
    const wrong_element stray = {
        .step = checker->step,
        .place = kOutsideExtent,
        .backend = backend,
        .output = output,
        .row = in_row ? element / stride : -1,
        .column = in_row ? element % stride : element,
        .got = got[i],
        .want = kSentinel,
    };
    mismatch_log_add(&checker->log, &stray);
  }
}

static bool is_untouched(const int32_t *elements, int64_t count) {
  /* equal to itself one element on: all are the first */
  return elements[0] == kSentinel &&
         memcmp(elements, elements + 1, (size_t)(count - 1) * sizeof(*elements)) == 0;
}

static void sweep_tensor(step_checker *checker, int backend, int output) {
  const output_tensor *tensor = &checker->outputs->tensors[backend][output];
  if (!tensor->allocation) return;
  const int64_t last = tensor->count + kGuardElements;
  const int64_t most = checker->staging ? checker->staging_count : output_total(tensor);
  for (int64_t first = -kGuardElements; first < last; first += most) {
    const int64_t count = most < last - first ? most : last - first;
    const CUdeviceptr address = output_address(tensor, first);
    const int32_t *got = checker_view(checker, address, count);
    checker_wait(checker);
    if (checker->device->error[0]) return;
    if (is_untouched(got, count)) continue;
    report_strays(checker, got, count, backend, output, first);
    checker->device->operations->fill(checker->device, address, kSentinel, (size_t)count);
  }
}

void check_sweep(step_checker *checker) {
  for (int b = 0; b < checker->outputs->shape.num_backends; ++b) {
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) sweep_tensor(checker, b, o);
  }
}
