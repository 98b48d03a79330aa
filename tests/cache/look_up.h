/*
 * look_up.h: stores one small entry and looks entries up, through cache.h alone: no
 * driver, no NVRTC.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_LOOK_UP_H
#define UDM_TESTS_LOOK_UP_H

#include "cache/cache.h"

extern const char test_image[23]; /* not a cubin: the cache does not look into it */
extern const struct cache_key test_key;

/* Settings with this writable folder and nothing else. */
struct settings settings_for(const char *folder);

/* Stores test_image under test_key. */
void store(const struct settings *settings, char path[UDM_PATH_SIZE]);

/* What a lookup found, and how many of its first hits to reject. */
struct hits {
  int count;
  int reject;
  bool writable;
  char image[64]; /* the last hit */
  size_t image_size;
};

/* Rejects that many hits and accepts the next. Returns what the lookup ends with. */
udm_status look_up(const struct settings *settings, const struct cache_key *key, struct hits *hits);

/* The first hit is test_image, in the writable layer or not. */
void assert_hit(const struct settings *settings, const struct cache_key *key, bool writable);
void assert_miss(const struct settings *settings, const struct cache_key *key);

#endif
