/*
 * A free list of numbered things: see free_list.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "free_list.h"

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
