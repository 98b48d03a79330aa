/*
 * row_history.h: what a row of req_to_token still holds of requests that have left it. A
 * server never clears a row: behind the tokens of the request that has it now
 * lie the slots of earlier, longer ones, and UDM_EXTENT_BATCH_MAX copies them
 * too. The history keeps the page lists of those requests, newest first; each
 * shows from where the newer ones end.
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
  struct past_request *past; /* the newest is last; the newer, the fewer tokens */
  int32_t count;
  int32_t capacity;
};

#define ROW_HISTORY_INIT \
  { NULL, 0, 0 }

/*
 * A request that wrote tokens slots to the row leaves it. *pages is taken over
 * and emptied. False without memory; the pages are freed then.
 */
bool row_history_push(struct row_history *history, struct page_list *pages, int32_t tokens);

/* What the row holds in columns [first, last), given that nobody has it. Never written: 0. */
void row_history_slots(const struct row_history *history, int32_t page_size, int32_t first,
                       int32_t last, int32_t *slots);

/* The page of column page * page_size, for page in [first, last). Never written: 0. */
void row_history_pages(const struct row_history *history, int32_t page_size, int32_t first,
                       int32_t last, int32_t *pages);

void row_history_free(struct row_history *history);

#endif
