/*
 * check_step.c: compares what a step wrote with what the allocator knows.
 *
 * The tensors of lengths and prefix sums are small: each is compared whole, guards
 * included. The page tables are compared per row: what had to be written, and the
 * gap behind it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <limits.h>
#include <string.h>

#include "check.h"

static const int length_outputs[] = {UDM_OUTPUT_CACHE_SEQLENS, UDM_OUTPUT_CU_SEQLENS_K,
                                     UDM_OUTPUT_NSA_CACHE_SEQLENS, UDM_OUTPUT_NSA_CU_SEQLENS_K,
                                     UDM_OUTPUT_SEQLENS_EXPANDED};
enum { LENGTH_OUTPUT_COUNT = sizeof length_outputs / sizeof length_outputs[0] };

static bool is_prefix_sum(int output) {
  return output == UDM_OUTPUT_CU_SEQLENS_K || output == UDM_OUTPUT_NSA_CU_SEQLENS_K;
}

static bool is_nsa(int output) {
  return output == UDM_OUTPUT_NSA_CACHE_SEQLENS || output == UDM_OUTPUT_NSA_CU_SEQLENS_K;
}

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

static void check_lengths_of_backend(struct step_checker *checker,
                                     const struct batch_scheduler *scheduler, int32_t batch_size,
                                     int b, const int32_t *views[LENGTH_OUTPUT_COUNT]) {
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

static void check_lengths(struct step_checker *checker, const struct batch_scheduler *scheduler,
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
    check_lengths_of_backend(checker, scheduler, batch_size, b, views[b]);
  }
}

static void append_gap(int32_t *elements) {
  for (int i = 0; i < ROW_GAP; ++i) elements[i] = SENTINEL;
}

/* What row i of both tables must hold: own tokens, then what the row held before. */
static void want_row(struct step_checker *checker, const struct batch_scheduler *scheduler,
                     int32_t i) {
  static const struct page_list no_pages = PAGE_LIST_INIT;
  const int32_t page_size = checker->outputs->shape.page_size;
  const int32_t slots = checker->rows[i].live[SLOTS];
  const int32_t pages = checker->rows[i].live[PAGES];
  const bool is_padding = i >= scheduler->running_count;
  /* padding names row 0 of req_to_token, whoever has it */
  const struct decode_request *owner = is_padding ? scheduler->row_owner[0] : scheduler->running[i];
  const struct row_history *history = &scheduler->history[owner ? owner->row : 0];
  const struct page_list *own_list = owner ? &owner->pages : &no_pages;
  const int32_t owned = owner ? owner->tokens : 0;
  const int32_t own = owned < slots ? owned : slots;
  page_list_slots(own_list, page_size, 0, own, checker->want_rows[SLOTS]);
  row_history_slots(history, page_size, own, slots, checker->want_rows[SLOTS] + own);
  append_gap(checker->want_rows[SLOTS] + slots);
  if (page_size == 1) return; /* real_page_table is null */
  const int32_t own_pages = pages_for(own, page_size);
  if (own_list->pages) {
    memcpy(checker->want_rows[PAGES], own_list->pages, (size_t)own_pages * sizeof(int32_t));
  }
  row_history_pages(history, page_size, own_pages, pages, checker->want_rows[PAGES] + own_pages);
  append_gap(checker->want_rows[PAGES] + pages);
}

/* Compares one table's row and makes it ready for the next step. */
static void check_table_row(struct step_checker *checker, int backend, int table, int32_t i) {
  const int32_t live = checker->rows[i].live[table];
  const struct wrong_element origin = {
      .backend = backend, .output = table_outputs[table], .row = i};
  const int64_t before = checker->log.count;
  checker_compare(checker, checker->rows[i].views[backend][table], checker->want_rows[table],
                  live + ROW_GAP, 0, live, &origin);
  /* also the gap if something wrote to it: a stray write is reported once */
  const int32_t count = checker->log.count == before ? live : live + ROW_GAP;
  checker->device->operations->fill(
      checker->device, checker_row_address(checker, backend, table, i), SENTINEL, (size_t)count);
}

static void check_row(struct step_checker *checker, const struct batch_scheduler *scheduler,
                      int32_t i) {
  want_row(checker, scheduler, i);
  for (int b = 0; b < checker->outputs->shape.num_backends; ++b) {
    for (int t = 0; t < TABLE_COUNT; ++t) {
      if (checker->rows[i].views[b][t]) check_table_row(checker, b, t, i);
    }
  }
}

static void check_tables(struct step_checker *checker, const struct batch_scheduler *scheduler,
                         int32_t batch_size) {
  checker_live_columns(checker, scheduler, batch_size);
  for (int32_t i = 0; i < checker->outputs->shape.max_batch; ++i) {
    struct checked_row *row = &checker->rows[i];
    for (int t = 0; t < TABLE_COUNT; ++t) {
      row->clean[t] = i < batch_size ? row->live[t] + ROW_GAP : 0;
      row->range[t] = (struct column_range){0, row->clean[t]};
    }
  }
  for (int32_t first = 0, last = 0; first < batch_size; first = last) {
    last = checker_view_rows(checker, first, batch_size);
    if (checker->device->error[0]) return;
    for (int32_t i = first; i < last; ++i) check_row(checker, scheduler, i);
  }
}

void check_step(struct step_checker *checker, const struct batch_scheduler *scheduler,
                int32_t batch_size, int64_t step) {
  checker->step = step;
  check_lengths(checker, scheduler, batch_size);
  check_tables(checker, scheduler, batch_size);
}
