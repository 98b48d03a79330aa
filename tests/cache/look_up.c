/*
 * look_up.c: stores and looks up.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "look_up.h"

#include <string.h>

#include "cmocka_headers.h"

const char test_image[23] = "\177ELF not really a cubin";
const struct cache_key test_key = {"sm_90", "source abc\ntarget sm_90\n", "NVRTC 13.0\n"};

struct settings settings_for(const char *folder) {
  struct settings settings;
  memset(&settings, 0, sizeof settings);
  settings.cache_dir = folder;
  return settings;
}

void store(const struct settings *settings, char path[UDM_PATH_SIZE]) {
  if (udm_cache_store(settings, &test_key, test_image, sizeof test_image, path,
                      udm_thread_error()) != UDM_OK) {
    fail_msg("%s", udm_last_error());
  }
}

udm_status look_up(const struct settings *settings, const struct cache_key *key,
                   struct hits *hits) {
  struct cache_lookup *lookup = NULL;
  struct cache_hit hit;
  const unsigned flags = CACHE_LOOKUP_FIRST | CACHE_LOOKUP_REPAIR;
  if (udm_cache_lookup_begin(settings, key, flags, &lookup, udm_thread_error()) != UDM_OK) {
    fail_msg("%s", udm_last_error());
  }
  while (udm_cache_lookup_next(lookup, &hit)) {
    assert_true(hit.image_size <= sizeof hits->image);
    memcpy(hits->image, hit.image, hit.image_size);
    hits->image_size = hit.image_size;
    hits->writable = hit.writable;
    if (++hits->count > hits->reject) {
      udm_cache_lookup_accept(lookup);
      break;
    }
    udm_cache_lookup_reject(lookup, CACHE_MISS_REJECTED, "the test's reason");
  }
  return udm_cache_lookup_end(lookup, udm_thread_error());
}

void assert_hit(const struct settings *settings, const struct cache_key *key, bool writable) {
  struct hits hits = {0};
  if (look_up(settings, key, &hits) != UDM_OK) {
    fail_msg("%s", udm_last_error());
  }
  assert_int_equal(hits.count, 1);
  assert_int_equal(hits.image_size, sizeof test_image);
  assert_memory_equal(hits.image, test_image, sizeof test_image);
  assert_int_equal(hits.writable, writable);
}

void assert_miss(const struct settings *settings, const struct cache_key *key) {
  struct hits hits = {0};
  assert_int_equal(look_up(settings, key, &hits), UDM_ERROR_NOT_FOUND);
  assert_int_equal(hits.count, 0);
}
