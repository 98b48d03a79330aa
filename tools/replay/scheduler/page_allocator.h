/*
 * page_allocator.h: the paged KV allocator.
 *
 * A free list holds numbered things: the pages of the KV pool, the rows of
 * req_to_token. What is given back goes to the end and what is taken comes from
 * the front, so that use scrambles the order, as it does in a server.
 *
 * A page list holds the KV pages of a request: token j lies in slot
 * pages[j / page_size] * page_size + j % page_size of the pool. The allocator knows
 * this, and every expected value of the replay comes from here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_SCHEDULER_PAGE_ALLOCATOR_H
#define UDM_TOOLS_REPLAY_SCHEDULER_PAGE_ALLOCATOR_H

#include <stdbool.h>
#include <stdint.h>

struct free_list {
  int32_t *ring;  /* the free ids, count of them from head on */
  bool *is_taken; /* by id - first */
  int32_t first;  /* the ids are first to first + capacity - 1 */
  int32_t capacity;
  int32_t head;
  int32_t count;
};

#define FREE_LIST_INIT \
  { NULL, NULL, 0, 0, 0, 0 }

/* All of first to first + capacity - 1 free, in order. False without memory. */
bool free_list_create(struct free_list *list, int32_t first, int32_t capacity);
void free_list_destroy(struct free_list *list);

/* Takes count ids, or none and false when fewer are free. */
bool free_list_take(struct free_list *list, int32_t *ids, int32_t count);

/* Gives ids back. False, with nothing done to it, at the first that was not taken. */
bool free_list_give(struct free_list *list, const int32_t *ids, int32_t count);

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
