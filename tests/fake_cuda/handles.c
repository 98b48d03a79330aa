/*
 * The registry of everything the driver handed out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "handles.h"

static struct handle *first;

void handle_register(struct handle *object, enum handle_kind kind, CUcontext owner,
                     void (*destroy)(struct handle *object)) {
  *object = (struct handle){kind, owner, destroy, first};
  first = object;
}

bool handle_is_live(const void *object, enum handle_kind kind) {
  for (const struct handle *h = first; h; h = h->next) {
    if ((const void *)h == object) return h->kind == kind;
  }
  return false;
}

void handle_destroy(struct handle *object) {
  struct handle **link = &first;
  while (*link && *link != object) link = &(*link)->next;
  if (!*link) return;
  *link = object->next;
  object->destroy(object);
}

/* From the start after every one: destroying a module destroys its functions too. */
void handle_destroy_all_of(CUcontext owner) {
  struct handle *h = first;
  while (h) {
    if (h->owner == owner) {
      handle_destroy(h);
      h = first;
    } else {
      h = h->next;
    }
  }
}

struct handle *handle_next(enum handle_kind kind, const struct handle *after) {
  struct handle *h = after ? after->next : first;
  while (h && h->kind != kind) h = h->next;
  return h;
}

int handle_count(enum handle_kind kind) {
  int count = 0;
  for (struct handle *h = handle_next(kind, NULL); h; h = handle_next(kind, h)) ++count;
  return count;
}
