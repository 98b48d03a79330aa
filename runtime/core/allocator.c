/*
 * allocator.c: blocks with a header that names their allocator.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/allocator.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct header {
  alignas(max_align_t) udm_deallocate_callback deallocate; /* NULL: free */
  void *user_data;
  size_t bytes; /* without the header */
};

static _Thread_local struct host_allocator in_use;

void udm_allocator_use(const struct host_allocator *allocator) { in_use = *allocator; }

struct host_allocator udm_allocator_in_use(void) {
  return in_use;
}

void *udm_malloc(size_t bytes) {
  if (bytes > SIZE_MAX - sizeof(struct header)) return NULL;
  const size_t whole = sizeof(struct header) + bytes;
  struct header *header =
      in_use.allocate ? in_use.allocate(in_use.user_data, whole) : malloc(whole);
  if (!header) return NULL;
  header->deallocate = in_use.allocate ? in_use.deallocate : NULL;
  header->user_data = in_use.user_data;
  header->bytes = bytes;
  return header + 1;
}

void *udm_calloc(size_t count, size_t bytes) {
  if (bytes && count > SIZE_MAX / bytes) return NULL;
  void *memory = udm_malloc(count * bytes);
  if (memory) memset(memory, 0, count * bytes);
  return memory;
}

void *udm_realloc(void *memory, size_t bytes) {
  void *larger = udm_malloc(bytes);
  if (!larger || !memory) return larger;
  const size_t before = ((struct header *)memory - 1)->bytes;
  memcpy(larger, memory, before < bytes ? before : bytes);
  udm_free(memory);
  return larger;
}

char *udm_strdup(const char *text) {
  const size_t bytes = strlen(text) + 1;
  char *copy = udm_malloc(bytes);
  if (copy) memcpy(copy, text, bytes);
  return copy;
}

void udm_free(void *memory) {
  if (!memory) return;
  struct header *header = (struct header *)memory - 1;
  if (header->deallocate) {
    header->deallocate(header->user_data, header);
  } else {
    free(header);
  }
}
