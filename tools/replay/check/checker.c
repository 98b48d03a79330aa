/*
 * checker.c: the comparison, the staging memory and the rows of the tables: see checker.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "checker.h"

#include <stdlib.h>
#include <string.h>

static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

/* The elements of the largest tensor that is not a table, guards included, or of all of them. */
static int64_t length_elements(const struct output_tensors *outputs, bool largest_only) {
  int64_t sum = 0;
  int64_t most = 0;
  for (int o = 0; o < OUTPUT_COUNT; ++o) {
    if (output_stride(outputs, o) > 0) continue;
    const int64_t total = output_total(&outputs->tensors[0][o]);
    most = largest(most, total);
    sum += total;
  }
  return largest_only ? most : sum;
}

/* At least the lengths of all backends, and one row of all their tables. */
static int64_t staging_needed(const struct output_tensors *outputs) {
  const int64_t row = outputs->page_table_stride + outputs->real_page_table_stride;
  const int64_t needed = largest(length_elements(outputs, false), row);
  return largest((int64_t)8 << 20, outputs->shape.num_backends * needed);
}

static bool allocate_books(struct step_checker *checker) {
  const struct output_tensors *outputs = checker->outputs;
  const size_t rows = (size_t)outputs->shape.max_tokens;
  bool created = true;
  for (int t = 0; t < TABLE_COUNT; ++t) {
    const int64_t stride = output_stride(outputs, table_outputs[t]);
    checker->want_rows[t] = malloc((size_t)stride * sizeof(int32_t));
    created = created && checker->want_rows[t];
  }
  checker->want_lengths = malloc((size_t)length_elements(outputs, true) * sizeof(int32_t));
  checker->schedule_lengths = malloc(rows * sizeof(int32_t));
  checker->rows = calloc(rows, sizeof *checker->rows);
  return created && checker->want_lengths && checker->schedule_lengths && checker->rows;
}

bool checker_create(struct step_checker *checker, struct replay_device *device,
                    const struct output_tensors *outputs, const udm_decode_args *args,
                    enum step_phase phase, struct mismatch_log *log) {
  *checker = (struct step_checker){
      .device = device, .outputs = outputs, .args = args, .phase = phase, .log = log};
  if (!allocate_books(checker)) return false;
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
  free(checker->schedule_lengths);
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
    found.phase = checker->phase;
    found.place = i >= first_live && i < last_live ? IN_VALUES : OUTSIDE_EXTENT;
    found.column += i;
    found.got = got[i];
    found.want = want[i];
    mismatch_log_add(checker->log, &found);
  }
}

static void set_row(struct step_checker *checker, int32_t row, int32_t request, int32_t length,
                    int32_t tokens) {
  const int32_t max_len = checker->args->max_len;
  const int32_t slots = tokens < max_len ? tokens : max_len;
  struct checked_row *found = &checker->rows[row];
  found->request = request;
  found->length = length;
  found->live[SLOTS] = slots;
  found->live[PAGES] = pages_for(slots, checker->outputs->shape.page_size);
}

static int32_t longest_of(const struct phase_batch *batch) {
  int32_t longest = 0;
  for (int32_t i = 0; i < batch->size; ++i) {
    const int32_t tokens = phase_kv_length(&batch->requests[i]);
    if (tokens > longest) longest = tokens;
  }
  return longest;
}

void checker_set_batch(struct step_checker *checker, const struct phase_batch *batch) {
  const int32_t longest = longest_of(batch);
  int32_t row = 0;
  checker->batch = batch;
  for (int32_t i = 0; i < batch->size; ++i) {
    const struct phase_request *request = &batch->requests[i];
    const bool batch_max = checker->args->extent == UDM_EXTENT_BATCH_MAX;
    const int32_t tokens = batch_max ? longest : phase_kv_length(request);
    for (int32_t j = 0; j < request->count; ++j, ++row) {
      set_row(checker, row, i, phase_visible_tokens(request, j), tokens);
    }
  }
  for (; row < batch->num_tokens; ++row) set_row(checker, row, -1, 0, 0);
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

int32_t checker_view_rows(struct step_checker *checker, int32_t first) {
  const int32_t backends = checker->outputs->shape.num_backends;
  int32_t last = first;
  for (; last < checker->batch->num_tokens; ++last) {
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
