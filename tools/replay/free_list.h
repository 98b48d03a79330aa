/*
 * A free list of numbered things: the pages of the KV pool, the rows of
 * req_to_token. What is given back goes to the end and what is taken comes from
 * the front, so that use scrambles the order, as it does in a server.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_FREE_LIST_H
#define UDM_TOOLS_REPLAY_FREE_LIST_H

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

#endif
