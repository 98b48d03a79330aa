/*
 * checker.c: the comparison itself, the staging memory and the rows of the
 * tables: see checker.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "checker.h"

#include <stdlib.h>
#include <string.h>

static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

/* Room for the lengths of all backends, and for one row of their tables, at the least. */
static int64_t staging_needed(const struct output_tensors *outputs) {
  const int64_t backends = outputs->shape.num_backends;
  const int64_t lengths = 5 * ((int64_t)outputs->shape.max_batch + 1 + BOTH_GUARDS);
  const int64_t row = outputs->page_table_stride + outputs->real_page_table_stride;
  return largest((int64_t)8 << 20, backends * largest(lengths, row));
}

bool checker_create(struct step_checker *checker, struct replay_device *device,
                    const struct output_tensors *outputs, const udm_decode_args *args) {
  *checker = (struct step_checker){.device = device,
                                   .outputs = outputs,
                                   .extent = args->extent,
                                   .nsa_index_topk = args->nsa_index_topk,
                                   .max_len = args->max_len};
  const size_t max_batch = (size_t)outputs->shape.max_batch;
  bool created = true;
  for (int t = 0; t < TABLE_COUNT; ++t) {
    const int64_t stride = output_stride(outputs, table_outputs[t]);
    checker->want_rows[t] = malloc((size_t)stride * sizeof(int32_t));
    created = created && checker->want_rows[t];
  }
  checker->want_lengths = malloc((max_batch + 1 + BOTH_GUARDS) * sizeof(int32_t));
  checker->rows = calloc(max_batch, sizeof *checker->rows);
  if (!created || !checker->want_lengths || !checker->rows) return false;
  if (!device->needs_staging) return true;
  checker->staging_count = staging_needed(outputs);
  checker->staging = device->operations->allocate_staging(
      device, (size_t)checker->staging_count * sizeof(int32_t));
  return checker->staging != NULL;
}

void checker_destroy(struct step_checker *checker) {
  if (checker->staging) {
    checker->device->operations->release_staging(checker->device, checker->staging);
  }
  for (int t = 0; t < TABLE_COUNT; ++t) free(checker->want_rows[t]);
  free(checker->want_lengths);
  free(checker->rows);
  *checker = (struct step_checker){.device = NULL};
}

static bool has_staging(const struct step_checker *checker, int64_t count) {
  return !checker->staging || checker->staging_used + count <= checker->staging_count;
}

const int32_t *checker_view(struct step_checker *checker, CUdeviceptr from, int64_t count) {
  int32_t *staging = checker->staging ? checker->staging + checker->staging_used : NULL;
  if (staging) checker->staging_used += count;
  return checker->device->operations->view(checker->device, from, (size_t)count, staging);
}

void checker_wait(struct step_checker *checker) {
  checker->device->operations->wait(checker->device);
  checker->staging_used = 0;
}

void checker_compare(struct step_checker *checker, const int32_t *got, const int32_t *want,
                     int64_t count, int64_t first_live, int64_t last_live,
                     const struct wrong_element *origin) {
  if (memcmp(got, want, (size_t)count * sizeof *got) == 0) return;
  for (int64_t i = 0; i < count; ++i) {
    if (got[i] == want[i]) continue;
    struct wrong_element found = *origin;
    found.step = checker->step;
    found.place = i >= first_live && i < last_live ? IN_VALUES : OUTSIDE_EXTENT;
    found.column += i;
    found.got = got[i];
    found.want = want[i];
    mismatch_log_add(&checker->log, &found);
  }
}

int32_t checker_length(const struct batch_scheduler *scheduler, int32_t i) {
  return i < scheduler->running_count ? scheduler->running[i]->tokens : 0;
}

void checker_live_columns(struct step_checker *checker, const struct batch_scheduler *scheduler,
                          int32_t batch_size) {
  const int32_t page_size = checker->outputs->shape.page_size;
  int32_t longest = 0;
  for (int32_t i = 0; i < batch_size; ++i) {
    const int32_t tokens = checker_length(scheduler, i);
    if (tokens > longest) longest = tokens;
  }
  for (int32_t i = 0; i < batch_size; ++i) {
    const int32_t tokens =
        checker->extent == UDM_EXTENT_BATCH_MAX ? longest : checker_length(scheduler, i);
    const int32_t slots = tokens < checker->max_len ? tokens : checker->max_len;
    checker->rows[i].live[SLOTS] = slots;
    checker->rows[i].live[PAGES] = pages_for(slots, page_size);
  }
}

CUdeviceptr checker_row_address(const struct step_checker *checker, int backend, int table,
                                int32_t row) {
  const int output = table_outputs[table];
  return output_address(&checker->outputs->tensors[backend][output],
                        row * output_stride(checker->outputs, output));
}

/* A null table is null in every backend. */
static int32_t range_size(const struct step_checker *checker, const struct checked_row *row,
                          int table) {
  const bool is_null = !checker->outputs->tensors[0][table_outputs[table]].allocation;
  const struct column_range *range = &row->range[table];
  return is_null || range->last <= range->first ? 0 : range->last - range->first;
}

int32_t checker_view_rows(struct step_checker *checker, int32_t first, int32_t batch_size) {
  const int32_t backends = checker->outputs->shape.num_backends;
  int32_t last = first;
  for (; last < batch_size; ++last) {
    struct checked_row *row = &checker->rows[last];
    const int32_t counts[TABLE_COUNT] = {range_size(checker, row, SLOTS),
                                         range_size(checker, row, PAGES)};
    if (!has_staging(checker, backends * ((int64_t)counts[SLOTS] + counts[PAGES]))) break;
    for (int b = 0; b < backends; ++b) {
      for (int t = 0; t < TABLE_COUNT; ++t) {
        const CUdeviceptr from = checker_row_address(checker, b, t, last) +
                                 (CUdeviceptr)row->range[t].first * sizeof(int32_t);
        row->views[b][t] = counts[t] ? checker_view(checker, from, counts[t]) : NULL;
      }
    }
  }
  checker_wait(checker);
  return last;
}
