/*
 * check_step.c: compares what a step wrote with what the allocator knows. Of a page table, each row
 * is compared: the columns that the step had to write, and the gap behind them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "check.h"

static void append_gap(int32_t *elements) {
  for (int i = 0; i < ROW_GAP; ++i) elements[i] = SENTINEL;
}

/* Computes the columns of both tables: the owner's slots, then what the row held before. */
static void want_columns(struct step_checker *checker, const struct phase_request *request,
                         int32_t slots, int32_t pages) {
  static const struct page_list no_pages = PAGE_LIST_INIT;
  const int32_t page_size = checker->outputs->shape.page_size;
  const struct decode_request *owner = request->owner;
  const struct row_history *history = &checker->batch->scheduler->history[request->row];
  const struct page_list *own_list = owner ? &owner->pages : &no_pages;
  const int32_t owned = owner ? owner->slots : 0;
  const int32_t own = owned < slots ? owned : slots;
  page_list_slots(own_list, page_size, 0, own, checker->want_rows[SLOTS]);
  row_history_slots(history, page_size, own, slots, checker->want_rows[SLOTS] + own);
  if (page_size == 1) return; /* real_page_table is null */
  const int32_t own_pages = pages_for(own, page_size);
  if (own_list->pages) {
    memcpy(checker->want_rows[PAGES], own_list->pages, (size_t)own_pages * sizeof(int32_t));
  }
  row_history_pages(history, page_size, own_pages, pages, checker->want_rows[PAGES] + own_pages);
}

static void want_row(struct step_checker *checker, const struct checked_row *row) {
  const int32_t slots = row->live[SLOTS];
  const int32_t pages = row->live[PAGES];
  if (slots > 0) {
    want_columns(checker, &checker->batch->requests[row->request], slots, pages);
  }
  append_gap(checker->want_rows[SLOTS] + slots);
  append_gap(checker->want_rows[PAGES] + pages);
}

/* Compares a row of one table and sets it to the sentinel for the next step. */
static void check_table_row(struct step_checker *checker, int backend, int table, int32_t i) {
  const int32_t live = checker->rows[i].live[table];
  const struct wrong_element origin = {
      .backend = backend, .output = table_outputs[table], .row = i};
  const int64_t before = checker->log->count;
  checker_compare(checker, checker->rows[i].views[backend][table], checker->want_rows[table],
                  live + ROW_GAP, 0, live, &origin);
  /* the gap too if something wrote to it, so that a stray write is reported only once */
  const int32_t count = checker->log->count == before ? live : live + ROW_GAP;
  checker->device->operations->fill(
      checker->device, checker_row_address(checker, backend, table, i), SENTINEL, (size_t)count);
}

static void check_row(struct step_checker *checker, int32_t i) {
  for (int b = 0; b < checker->outputs->shape.num_backends; ++b) {
    for (int t = 0; t < TABLE_COUNT; ++t) {
      if (checker->rows[i].views[b][t]) check_table_row(checker, b, t, i);
    }
  }
}

static void check_tables(struct step_checker *checker) {
  const int32_t rows = checker->batch->num_tokens;
  for (int32_t i = 0; i < checker->outputs->shape.max_tokens; ++i) {
    struct checked_row *row = &checker->rows[i];
    for (int t = 0; t < TABLE_COUNT; ++t) {
      row->clean[t] = i < rows ? row->live[t] + ROW_GAP : 0;
      row->range[t] = (struct column_range){0, row->clean[t]};
    }
  }
  for (int32_t first = 0, last = 0; first < rows; first = last) {
    last = checker_view_rows(checker, first);
    if (checker->device->error[0]) return;
    for (int32_t i = first; i < last; ++i) {
      /* the rows of a request are equal */
      const bool is_first = i == 0 || checker->rows[i].request != checker->rows[i - 1].request;
      if (is_first) want_row(checker, &checker->rows[i]);
      check_row(checker, i);
    }
  }
}

void check_step(struct step_checker *checker, const struct phase_batch *batch, int64_t step) {
  checker->step = step;
  checker_set_batch(checker, batch);
  check_lengths(checker);
  check_tables(checker);
}
