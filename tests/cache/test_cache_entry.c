/*
 * test_cache_entry.c: the format of an entry: decoding gives what was encoded, and
 * detects every single damaged byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache/cache.h"
#include "core/allocator.h"

#include <stdlib.h>
#include <string.h>

#include "cmocka_headers.h"

static const char image[] = "\177ELF and the rest of an image";
static const struct cache_key key = {"sm_90", "source abc\ntarget sm_90\n", "NVRTC 13.0\n"};

struct entry {
  unsigned char *bytes;
  size_t size;
};

static int encode(void **state) {
  static struct entry entry;
  *state = &entry;
  return udm_cache_entry_encode(&key, image, sizeof image, &entry.bytes, &entry.size,
                                udm_thread_error()) != UDM_OK;
}

static int release(void **state) {
  udm_free(((struct entry *)*state)->bytes);
  return 0;
}

static void test_round_trip(void **state) {
  const struct entry *entry = *state;
  struct cache_entry_view view;
  assert_int_equal(udm_cache_entry_decode(entry->bytes, entry->size, &view, udm_thread_error()),
                   UDM_OK);
  assert_int_equal(view.image_size, sizeof image);
  assert_memory_equal(view.image, image, sizeof image);
  assert_ptr_equal(view.image, entry->bytes); /* the file begins with the image */
  assert_true(udm_cache_entry_matches(&view, &key));
}

static void test_only_its_own_key_matches(void **state) {
  const struct entry *entry = *state;
  struct cache_entry_view view;
  assert_int_equal(udm_cache_entry_decode(entry->bytes, entry->size, &view, udm_thread_error()),
                   UDM_OK);
  struct cache_key other = key;
  other.producer = NULL;
  assert_true(udm_cache_entry_matches(&view, &other));
  other.producer = "NVRTC 13.1\n";
  assert_false(udm_cache_entry_matches(&view, &other));
  other = key;
  other.text = "source abd\ntarget sm_90\n";
  assert_false(udm_cache_entry_matches(&view, &other));
  other.text = "source abc\ntarget sm_90\n\n";
  assert_false(udm_cache_entry_matches(&view, &other));
}

static void test_every_flipped_byte_is_seen(void **state) {
  const struct entry *entry = *state;
  struct cache_entry_view view;
  for (size_t i = 0; i < entry->size; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      entry->bytes[i] ^= (unsigned char)(1 << bit);
      assert_int_equal(udm_cache_entry_decode(entry->bytes, entry->size, &view, udm_thread_error()),
                       UDM_ERROR_CACHE);
      entry->bytes[i] ^= (unsigned char)(1 << bit);
    }
  }
}

static void test_every_truncation_and_any_tail_is_seen(void **state) {
  const struct entry *entry = *state;
  struct cache_entry_view view;
  for (size_t size = 0; size < entry->size; ++size) {
    unsigned char *copy =
        malloc(size ? size : 1); /* of this exact size, so that a sanitizer sees a read past it */
    memcpy(copy, entry->bytes, size);
    assert_int_equal(udm_cache_entry_decode(copy, size, &view, udm_thread_error()),
                     UDM_ERROR_CACHE);
    free(copy);
  }
  unsigned char *longer = calloc(1, entry->size + 1);
  memcpy(longer, entry->bytes, entry->size);
  assert_int_equal(udm_cache_entry_decode(longer, entry->size + 1, &view, udm_thread_error()),
                   UDM_ERROR_CACHE);
  free(longer);
}

static void test_names(void **state) {
  (void)state;
  char name[UDM_CACHE_NAME_SIZE];
  char other[UDM_CACHE_NAME_SIZE];
  struct cache_key changed = key;
  udm_cache_entry_name(&key, name);
  assert_int_equal(strncmp(name, "sm_90-", 6), 0);
  assert_string_equal(name + strlen(name) - 6, ".cubin");
  udm_cache_entry_prefix(&key, other);
  assert_int_equal(strncmp(name, other, strlen(other)), 0);
  changed.producer = "NVRTC 12.9\n";
  udm_cache_entry_name(&changed, other);
  assert_string_not_equal(name, other);
  changed = key;
  changed.text = "source abd\n";
  udm_cache_entry_name(&changed, other);
  assert_string_not_equal(name, other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_round_trip, encode, release),
      cmocka_unit_test_setup_teardown(test_only_its_own_key_matches, encode, release),
      cmocka_unit_test_setup_teardown(test_every_flipped_byte_is_seen, encode, release),
      cmocka_unit_test_setup_teardown(test_every_truncation_and_any_tail_is_seen, encode, release),
      cmocka_unit_test(test_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
