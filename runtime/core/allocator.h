/*
 * allocator.h: memory from malloc or from the caller's allocator. Every block
 * remembers its allocator, so that a call with other options frees it there too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CORE_ALLOCATOR_H
#define UDM_RUNTIME_CORE_ALLOCATOR_H

#include "udm.h"

struct host_allocator {
  udm_allocate_callback allocate; /* NULL: malloc and free */
  udm_deallocate_callback deallocate;
  void *user_data;
};

/*
 * Sets what this thread allocates with from now on. udm_settings_resolve() does so at the start of
 * each call.
 */
void udm_allocator_use(const struct host_allocator *allocator);

/* The current allocator, to restore after a user callback that may call udm with another one. */
struct host_allocator udm_allocator_in_use(void);

/* Like malloc, calloc, realloc, strdup and free. Do not mix the two families. */
void *udm_malloc(size_t bytes);
void *udm_calloc(size_t count, size_t bytes);
void *udm_realloc(void *memory, size_t bytes);
char *udm_strdup(const char *text);
void udm_free(void *memory);

#endif
