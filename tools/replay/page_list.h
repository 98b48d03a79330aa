/*
 * The KV pages of a request: token j lies in slot
 * pages[j / page_size] * page_size + j % page_size of the pool. This is what the
 * allocator knows; every expected value of the replay comes from here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_PAGE_LIST_H
#define UDM_TOOLS_REPLAY_PAGE_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "free_list.h"

struct page_list {
  int32_t *pages;
  int32_t count;
  int32_t capacity;
};

#define PAGE_LIST_INIT \
  { NULL, 0, 0 }

static inline int32_t pages_for(int64_t tokens, int32_t page_size) {
  return (int32_t)((tokens + page_size - 1) / page_size);
}

enum page_list_status { PAGES_OK, PAGES_NONE_FREE, PAGES_NO_MEMORY };

/* Takes as many pages of pool as tokens need. On failure nothing has changed. */
enum page_list_status page_list_grow(struct page_list *list, struct free_list *pool, int64_t tokens,
                                     int32_t page_size);

/* Writes the slots of tokens [first, last) to slots[0 .. last - first). */
void page_list_slots(const struct page_list *list, int32_t page_size, int32_t first, int32_t last,
                     int32_t *slots);

void page_list_free(struct page_list *list);

#endif
