/*
 * test_cache_entry_validate_bytes.c: with any one byte changed, an entry does not
 * validate, the list calls it bad, and a lookup misses and removes it. Seeded:
 * UDM_TEST_SEED, else 1.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/allocator.h"
#include "image/cache_entry_validate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../tools/numbers/random.h"
#include "cache/cache.h"
#include "cmocka_headers.h"
#include "image/kernel_compile.h"
#include "smallest_cubin.h"
#include "temporary_folder.h"

static const char producer[] = "NVRTC 13.0, build test\n";

struct entry {
  struct kernel_key kernel;
  struct cache_key key;
  unsigned char *bytes;
  size_t size;
};

/* A whole entry of this library's kernel. */
static void make_entry(struct entry *entry) {
  const Elf64_Ehdr cubin = smallest_cubin(90);
  udm_kernel_key(90, KERNEL_BY_NVRTC, NULL, &entry->kernel);
  entry->key = entry->kernel.key;
  entry->key.producer = producer;
  assert_int_equal(udm_cache_entry_encode(&entry->key, &cubin, sizeof cubin, &entry->bytes,
                                          &entry->size, udm_thread_error()),
                   UDM_OK);
}

static uint64_t seed_of_this_run(void) {
  const char *text = getenv("UDM_TEST_SEED");
  const uint64_t seed = text ? strtoull(text, NULL, 10) : 1;
  print_message("seed %llu\n", (unsigned long long)seed);
  return seed;
}

/* Returns what to change a byte by, never 0. */
static unsigned char next_change(uint64_t *state) {
  return (unsigned char)(1 + random_next(state) % 255);
}

static void test_a_whole_entry_is_good(void **state) {
  (void)state;
  struct entry entry;
  struct valid_entry found;
  make_entry(&entry);
  assert_int_equal(udm_cache_entry_validate(entry.bytes, entry.size, &found, udm_thread_error()),
                   UDM_OK);
  assert_int_equal(found.arch, 90);
  assert_true(found.current);
  assert_string_equal(found.producer, producer);
  udm_free(entry.bytes);
}

static void test_every_changed_byte_is_reported(void **state) {
  (void)state;
  struct entry entry;
  struct valid_entry found;
  uint64_t seed = seed_of_this_run();
  make_entry(&entry);
  for (size_t i = 0; i < entry.size; ++i) {
    const unsigned char change = next_change(&seed);
    entry.bytes[i] ^= change;
    char text[UDM_REASON_SIZE] = "";
    struct error reason = {text, sizeof text};
    const udm_status status = udm_cache_entry_validate(entry.bytes, entry.size, &found, &reason);
    if (status != UDM_ERROR_CACHE || !text[0])
      fail_msg("byte %zu changed by 0x%02x is not seen", i, change);
    entry.bytes[i] ^= change;
  }
  assert_int_equal(udm_cache_entry_validate(entry.bytes, entry.size, &found, udm_thread_error()),
                   UDM_OK);
  udm_free(entry.bytes);
}

/* Accepts the first entry that the lookup finds. Returns how many it found. */
static int look_up(const struct settings *settings, const struct cache_key *key) {
  struct cache_lookup *lookup = NULL;
  struct cache_hit hit;
  assert_int_equal(
      udm_cache_lookup_begin(settings, key, CACHE_LOOKUP_REPAIR, &lookup, udm_thread_error()),
      UDM_OK);
  const int found = udm_cache_lookup_next(lookup, &hit);
  if (found) udm_cache_lookup_accept(lookup);
  assert_int_equal(udm_cache_lookup_end(lookup, NULL), found ? UDM_OK : UDM_ERROR_NOT_FOUND);
  return found;
}

struct listed {
  int count;
  udm_cache_entry_state state;
  int32_t arch;
  bool has_reason;
};

static int note_entry(void *user_data, const udm_cache_entry_info *info) {
  struct listed *listed = user_data;
  ++listed->count;
  listed->state = info->state;
  listed->arch = info->arch;
  listed->has_reason = info->reason[0] != '\0';
  return 0;
}

static void test_every_changed_byte_of_a_file_is_a_miss_and_repaired(void **state) {
  struct entry entry;
  struct settings settings;
  char name[UDM_CACHE_NAME_SIZE];
  char path[UDM_PATH_SIZE];
  uint64_t seed = seed_of_this_run();
  udm_options options = UDM_OPTIONS_INIT;
  make_entry(&entry);
  options.cache_dir = *state;
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
  settings.cache_path = NULL;
  udm_cache_entry_name(&entry.key, name);
  snprintf(path, sizeof path, "%s", path_in(*state, name));
  for (size_t i = 0; i < entry.size; ++i) {
    const unsigned char change = next_change(&seed);
    struct listed listed = {0};
    entry.bytes[i] ^= change;
    write_file(path, entry.bytes, entry.size);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(udm_cache_enumerate(&options, note_entry, &listed), UDM_OK);
    assert_int_equal(listed.count, 1);
    assert_int_equal(listed.state, UDM_CACHE_ENTRY_BAD);
    assert_true(listed.has_reason);
    assert_int_equal(listed.arch, 90); /* from the file's name, if from nothing else */
    assert_int_equal(look_up(&settings, &entry.key), 0);
    assert_int_equal(access(path, F_OK), -1); /* repaired: it is gone */
    entry.bytes[i] ^= change;
  }
  write_file(path, entry.bytes, entry.size);
  assert_int_equal(chmod(path, 0600), 0);
  assert_int_equal(look_up(&settings, &entry.key), 1);
  udm_free(entry.bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_whole_entry_is_good),
      cmocka_unit_test(test_every_changed_byte_is_reported),
      cmocka_unit_test_setup_teardown(test_every_changed_byte_of_a_file_is_a_miss_and_repaired,
                                      make_temporary_folder, remove_temporary_folder),
  };
  unsetenv("UDM_CACHE_PATH"); /* only one folder may be listed */
  return cmocka_run_group_tests(tests, NULL, NULL);
}
