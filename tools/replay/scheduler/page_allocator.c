/*
 * page_allocator.c: the paged KV allocator: free lists, and the pages of a request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "page_allocator.h"

#include <stddef.h>
#include <stdlib.h>

bool free_list_create(struct free_list *list, int32_t first, int32_t capacity) {
  *list = (struct free_list){.first = first, .capacity = capacity, .count = capacity};
  list->ring = malloc((size_t)capacity * sizeof *list->ring);
  list->is_taken = calloc((size_t)capacity, sizeof *list->is_taken);
  if (!list->ring || !list->is_taken) {
    free_list_destroy(list);
    return false;
  }
  for (int32_t i = 0; i < capacity; ++i) list->ring[i] = first + i;
  return true;
}

void free_list_destroy(struct free_list *list) {
  free(list->ring);
  free(list->is_taken);
  *list = (struct free_list)FREE_LIST_INIT;
}

bool free_list_take(struct free_list *list, int32_t *ids, int32_t count) {
  if (count > list->count) return false;
  for (int32_t i = 0; i < count; ++i) {
    ids[i] = list->ring[list->head];
    list->is_taken[ids[i] - list->first] = true;
    list->head = list->head + 1 == list->capacity ? 0 : list->head + 1;
  }
  list->count -= count;
  return true;
}

bool free_list_give(struct free_list *list, const int32_t *ids, int32_t count) {
  for (int32_t i = 0; i < count; ++i) {
    const int64_t index = (int64_t)ids[i] - list->first;
    if (index < 0 || index >= list->capacity || !list->is_taken[index]) return false;
    list->is_taken[index] = false;
    const int64_t tail = ((int64_t)list->head + list->count) % list->capacity;
    list->ring[tail] = ids[i];
    ++list->count;
  }
  return true;
}

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
