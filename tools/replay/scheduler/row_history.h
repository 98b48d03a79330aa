/*
 * row_history.h: the slots of earlier requests in a row of req_to_token. A server never clears a
 * row. Behind the tokens of its present request lie slots of earlier, longer requests, and
 * UDM_EXTENT_BATCH_MAX copies them too. The history keeps the page lists of those requests. Each
 * one shows where the newer ones end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_SCHEDULER_ROW_HISTORY_H
#define UDM_TOOLS_REPLAY_SCHEDULER_ROW_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "page_allocator.h"

struct past_request {
  struct page_list pages;
  int32_t tokens;
};

struct row_history {
  struct past_request *past; /* oldest first; a newer one has fewer tokens */
  int32_t count;
  int32_t capacity;
};

#define ROW_HISTORY_INIT \
  { NULL, 0, 0 }

/*
 * Records that a request that wrote `tokens` slots to the row has left it. Takes over the pages and
 * empties *pages. If memory runs out, frees the pages and returns false.
 */
bool row_history_push(struct row_history *history, struct page_list *pages, int32_t tokens);

/* Writes columns [first, last) of a row that no request has; 0 if nothing wrote a column. */
void row_history_slots(const struct row_history *history, int32_t page_size, int32_t first,
                       int32_t last, int32_t *slots);

/* Writes the page of column page * page_size for each page in [first, last); 0 as above. */
void row_history_pages(const struct row_history *history, int32_t page_size, int32_t first,
                       int32_t last, int32_t *pages);

void row_history_free(struct row_history *history);

#endif
