/*
 * row_history.c: what a row of req_to_token still holds of requests that have left it: see
 * row_history.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "row_history.h"

#include <stdlib.h>
#include <string.h>

bool row_history_push(struct row_history *history, struct page_list *pages, int32_t tokens) {
  /* the newcomer hides those that are no longer than it */
  while (history->count > 0 && history->past[history->count - 1].tokens <= tokens) {
    page_list_free(&history->past[--history->count].pages);
  }
  if (history->count == history->capacity) {
    const int32_t capacity = history->capacity ? 2 * history->capacity : 4;
    struct past_request *past = realloc(history->past, (size_t)capacity * sizeof *past);
    if (!past) {
      page_list_free(pages);
      return false;
    }
    history->past = past;
    history->capacity = capacity;
  }
  history->past[history->count++] = (struct past_request){*pages, tokens};
  *pages = (struct page_list)PAGE_LIST_INIT;
  return true;
}

void row_history_slots(const struct row_history *history, int32_t page_size, int32_t first,
                       int32_t last, int32_t *slots) {
  int32_t column = first;
  for (int32_t i = history->count - 1; i >= 0 && column < last; --i) {
    const struct past_request *past = &history->past[i];
    const int32_t end = past->tokens < last ? past->tokens : last;
    if (end <= column) continue;
    page_list_slots(&past->pages, page_size, column, end, slots + (column - first));
    column = end;
  }
  if (column < last) memset(slots + (column - first), 0, (size_t)(last - column) * sizeof *slots);
}

void row_history_pages(const struct row_history *history, int32_t page_size, int32_t first,
                       int32_t last, int32_t *pages) {
  int32_t page = first;
  for (int32_t i = history->count - 1; i >= 0 && page < last; --i) {
    const struct past_request *past = &history->past[i];
    for (; page < last && (int64_t)page * page_size < past->tokens; ++page) {
      pages[page - first] = past->pages.pages[page];
    }
  }
  for (; page < last; ++page) pages[page - first] = 0;
}

void row_history_free(struct row_history *history) {
  for (int32_t i = 0; i < history->count; ++i) page_list_free(&history->past[i].pages);
  free(history->past);
  *history = (struct row_history)ROW_HISTORY_INIT;
}
