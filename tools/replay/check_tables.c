/*
 * The check of the page tables: row by row, what had to be written and the gap
 * behind it. Rows are fetched in groups that fit into the staging memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <string.h>

/* The columns of a row. */
typedef struct row_columns {
  int32_t row;    /* of the batch */
  int32_t tokens; /* of its request */
  int32_t slots;  /* that had to be written to page_table_1 */
  int32_t pages;  /* and to real_page_table */
} row_columns;

static row_columns columns_of(const step_checker *checker, const batch_scheduler *scheduler,
                              int32_t row, int32_t longest) {
  row_columns columns = {.row = row, .tokens = checker_length(scheduler, row)};
  const int32_t page_size = checker->outputs->shape.page_size;
  columns.slots = checker->extent == UDM_EXTENT_BATCH_MAX ? longest : columns.tokens;
  columns.pages = page_size > 1 ? pages_for(columns.slots, page_size) : 0;
  return columns;
}

static void append_gap(int32_t *elements) {
  for (int i = 0; i < kRowGap; ++i) elements[i] = kSentinel;
}

/* What the row of both tables must hold: own tokens, then what the row held before. */
static void want_row(step_checker *checker, const batch_scheduler *scheduler,
                     const row_columns *columns) {
  static const page_list kNoPages = PAGE_LIST_INIT;
  const int32_t page_size = checker->outputs->shape.page_size;
  const bool is_padding = columns->row >= scheduler->running_count;
  /* padding names row 0 of req_to_token, whoever has it */
  const decode_request *owner =
      is_padding ? scheduler->row_owner[0] : scheduler->running[columns->row];
  const row_history *history = &scheduler->history[owner ? owner->row : 0];
  const page_list *own_list = owner ? &owner->pages : &kNoPages;
  const int32_t owned = owner ? owner->tokens : 0;
  const int32_t own = owned < columns->slots ? owned : columns->slots;
  page_list_slots(own_list, page_size, 0, own, checker->want_slots);
  row_history_slots(history, page_size, own, columns->slots, checker->want_slots + own);
  append_gap(checker->want_slots + columns->slots);
  if (page_size == 1) return;
  const int32_t own_pages = pages_for(own, page_size);
  if (own_list->pages) {
    memcpy(checker->want_pages, own_list->pages, (size_t)own_pages * sizeof(int32_t));
  }
  row_history_pages(history, page_size, own_pages, columns->pages, checker->want_pages + own_pages);
  append_gap(checker->want_pages + columns->pages);
}

static CUdeviceptr row_address(const step_checker *checker, int backend, int output, int32_t row) {
  const int64_t stride = output == kPageTable1 ? checker->outputs->page_table_stride
                                               : checker->outputs->real_page_table_stride;
  return output_address(&checker->outputs->tensors[backend][output], row * stride);
}

static void view_row(step_checker *checker, const row_columns *columns, table_row_view *views) {
  for (int b = 0; b < checker->outputs->shape.num_backends; ++b) {
    views[b].slots = checker_view(checker, row_address(checker, b, kPageTable1, columns->row),
                                  columns->slots + kRowGap);
    views[b].pages = NULL;
    if (checker->outputs->shape.page_size == 1) continue;
    views[b].pages = checker_view(checker, row_address(checker, b, kRealPageTable, columns->row),
                                  columns->pages + kRowGap);
  }
}

/* Compares one table's row and makes it ready for the next step. */
static void check_table_row(step_checker *checker, int backend, int output, int32_t row,
                            int32_t live, const int32_t *got, const int32_t *want) {
  const wrong_element origin = {.backend = backend, .output = output, .row = row};
  const int64_t before = checker->log.count;
  checker_compare(checker, got, want, live + kRowGap, 0, live, &origin);
  /* the gap, too, where it was written to: a stray write is reported once */
  const int32_t count = checker->log.count == before ? live : live + kRowGap;
  checker->device->operations->fill(checker->device, row_address(checker, backend, output, row),
                                    kSentinel, (size_t)count);
}

static void check_row(step_checker *checker, const batch_scheduler *scheduler,
                      const row_columns *columns, const table_row_view *views) {
  want_row(checker, scheduler, columns);
  for (int b = 0; b < checker->outputs->shape.num_backends; ++b) {
    check_table_row(checker, b, kPageTable1, columns->row, columns->slots, views[b].slots,
                    checker->want_slots);
    if (!views[b].pages) continue;
    check_table_row(checker, b, kRealPageTable, columns->row, columns->pages, views[b].pages,
                    checker->want_pages);
  }
}

void check_tables(step_checker *checker, const batch_scheduler *scheduler, int32_t batch_size) {
  const int64_t backends = checker->outputs->shape.num_backends;
  int32_t longest = 0;
  for (int32_t i = 0; i < batch_size; ++i) {
    const int32_t tokens = checker_length(scheduler, i);
    if (tokens > longest) longest = tokens;
  }
  for (int32_t first = 0, last = 0; first < batch_size; first = last) {
    for (; last < batch_size; ++last) {
      const row_columns columns = columns_of(checker, scheduler, last, longest);
      const int64_t needed = (int64_t)columns.slots + columns.pages + kRowGap + kRowGap;
      if (!checker_has_staging(checker, backends * needed)) break;
      view_row(checker, &columns, checker->rows[last]);
    }
    checker_wait(checker);
    if (checker->device->error[0]) return;
    for (int32_t row = first; row < last; ++row) {
      const row_columns columns = columns_of(checker, scheduler, row, longest);
      check_row(checker, scheduler, &columns, checker->rows[row]);
    }
  }
}
