/*
 * test_cache_import.c: entries from elsewhere are imported; other bytes are refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmocka_headers.h"
#include "smallest_cubin.h"
#include "temporary_folder.h"

static udm_options options_for(const char *folder) {
  udm_options options = UDM_OPTIONS_INIT;
  options.cache_dir = folder;
  return options;
}

struct copied_entry {
  unsigned char bytes[4096];
  size_t size;
  char path[UDM_PATH_SIZE];
};

static int copy_entry(void *user_data, const udm_cache_entry_info *entry) {
  struct copied_entry *copy = user_data;
  assert_int_equal(entry->state, UDM_CACHE_ENTRY_OK);
  assert_string_equal(entry->producer, "a test");
  assert_true(entry->last_used > 0);
  assert_true(entry->bytes <= sizeof copy->bytes);
  memcpy(copy->bytes, entry->contents, entry->bytes);
  copy->size = entry->bytes;
  snprintf(copy->path, sizeof copy->path, "%s", entry->path);
  return 0;
}

/* Makes an entry for sm_90 in another cache, as udm_cache_enumerate() returns it. */
static struct copied_entry entry_of_another_cache(const char *folder) {
  struct copied_entry copy = {.size = 0};
  const udm_options options = options_for(folder);
  const struct settings settings = {.cache_dir = folder};
  store_cubin(&settings, 90, 90, "a test\n", copy.path);
  assert_int_equal(udm_cache_enumerate(&options, copy_entry, &copy), UDM_OK);
  assert_true(copy.size > 0);
  return copy;
}

static void test_an_entry_is_taken_in_once(void **state) {
  char one[UDM_PATH_SIZE];
  char two[UDM_PATH_SIZE];
  struct copied_entry again = {.size = 0};
  snprintf(one, sizeof one, "%s", path_in(*state, "one"));
  snprintf(two, sizeof two, "%s", path_in(*state, "two"));
  const struct copied_entry entry = entry_of_another_cache(one);
  const udm_options options = options_for(two);
  udm_cache_import_result result = {.struct_size = sizeof result};
  assert_int_equal(udm_cache_import(&options, entry.bytes, entry.size, &result), UDM_OK);
  assert_int_equal(result.imported, 1);
  assert_int_equal(result.arch, 90);
  assert_string_equal(strrchr(result.path, '/'), strrchr(entry.path, '/'));
  assert_int_equal(udm_cache_enumerate(&options, copy_entry, &again), UDM_OK);
  assert_int_equal(again.size, entry.size);
  assert_memory_equal(again.bytes, entry.bytes, entry.size);
  assert_int_equal(udm_cache_import(&options, entry.bytes, entry.size, &result), UDM_OK);
  assert_int_equal(result.imported, 0);
}

static void test_other_bytes_than_an_entry_are_refused(void **state) {
  struct copied_entry entry = entry_of_another_cache(path_in(*state, "one"));
  const udm_options options = options_for(path_in(*state, "two"));
  assert_int_equal(udm_cache_import(&options, NULL, 1, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(udm_cache_import(&options, "", 0, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "not an entry"));
  assert_int_equal(udm_cache_import(&options, entry.bytes, entry.size - 1, NULL),
                   UDM_ERROR_INVALID_ARGUMENT);
  entry.bytes[entry.size / 2] ^= 1;
  assert_int_equal(udm_cache_import(&options, entry.bytes, entry.size, NULL),
                   UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(access(path_in(*state, "two"), F_OK), -1);
}

static void test_a_folder_that_is_not_trusted(void **state) {
  const struct copied_entry entry = entry_of_another_cache(path_in(*state, "one"));
  const udm_options options = options_for(*state);
  assert_int_equal(chmod(*state, 0777), 0);
  assert_int_equal(udm_cache_import(&options, entry.bytes, entry.size, NULL), UDM_ERROR_CACHE);
  assert_non_null(strstr(udm_last_error(), "chmod go-w"));
  assert_int_equal(chmod(*state, 0700), 0);
}

int main(void) {
#define IN_FOLDER(test) \
  cmocka_unit_test_setup_teardown(test, make_temporary_folder, remove_temporary_folder)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(test_an_entry_is_taken_in_once),
      IN_FOLDER(test_other_bytes_than_an_entry_are_refused),
      IN_FOLDER(test_a_folder_that_is_not_trusted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
