/*
 * The KV pages of a request: see page_list.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "page_list.h"

#include <stddef.h>
#include <stdlib.h>

enum page_list_status page_list_grow(struct page_list *list, struct free_list *pool, int64_t tokens,
                                     int32_t page_size) {
  const int32_t needed = pages_for(tokens, page_size);
  if (needed <= list->count) return PAGES_OK;
  if (needed > list->capacity) {
    const int32_t capacity = needed + needed / 8 + 4;
    int32_t *pages = realloc(list->pages, (size_t)capacity * sizeof *pages);
    if (!pages) return PAGES_NO_MEMORY;
    list->pages = pages;
    list->capacity = capacity;
  }
  if (!free_list_take(pool, list->pages + list->count, needed - list->count)) {
    return PAGES_NONE_FREE;
  }
  list->count = needed;
  return PAGES_OK;
}

void page_list_slots(const struct page_list *list, int32_t page_size, int32_t first, int32_t last,
                     int32_t *slots) {
  int32_t token = first;
  while (token < last) {
    const int32_t page = token / page_size;
    const int32_t in_page = token - page * page_size;
    const int32_t left = page_size - in_page;
    const int32_t count = left < last - token ? left : last - token;
    const int32_t slot = list->pages[page] * page_size + in_page;
    for (int32_t i = 0; i < count; ++i) slots[i] = slot + i;
    slots += count;
    token += count;
  }
}

void page_list_free(struct page_list *list) {
  free(list->pages);
  *list = (struct page_list)PAGE_LIST_INIT;
}
