/*
 * failed_compiles.c: a small ring of refused compiles and their messages.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/failed_compiles.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cache/cache_counters.h"
#include "core/status.h"

/* More architectures than one machine has; of more, the oldest is tried again. */
enum { MOST_REMEMBERED = 16, MESSAGE_SIZE = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  bool used;
  XXH128_hash_t key;
  char message[MESSAGE_SIZE];
} ring[MOST_REMEMBERED];
static int next_slot;

static XXH128_hash_t hash_of(const struct cache_key *key) {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  XXH3_128bits_update(&state, key->material, strlen(key->material) + 1);
  XXH3_128bits_update(&state, key->producer, strlen(key->producer) + 1);
  return XXH3_128bits_digest(&state);
}

static int find(XXH128_hash_t hash) {
  for (int i = 0; i < MOST_REMEMBERED; ++i) {
    if (ring[i].used && XXH128_isEqual(ring[i].key, hash)) return i;
  }
  return -1;
}

void udm_failed_compiles_add(const struct cache_key *key) {
  const XXH128_hash_t hash = hash_of(key);
  pthread_mutex_lock(&lock);
  if (find(hash) < 0) {
    ring[next_slot].used = true;
    ring[next_slot].key = hash;
    snprintf(ring[next_slot].message, MESSAGE_SIZE, "%s", udm_last_error());
    next_slot = (next_slot + 1) % MOST_REMEMBERED;
  }
  pthread_mutex_unlock(&lock);
}

bool udm_failed_compiles_has(const struct cache_key *key) {
  const XXH128_hash_t hash = hash_of(key);
  char message[MESSAGE_SIZE];
  pthread_mutex_lock(&lock);
  const int slot = find(hash);
  if (slot >= 0) memcpy(message, ring[slot].message, sizeof message);
  pthread_mutex_unlock(&lock);
  if (slot < 0) return false;
  udm_count(remembered_failures);
  udm_fail(UDM_ERROR_COMPILE, "%s\n(not tried again: it failed before in this process)", message);
  return true;
}
