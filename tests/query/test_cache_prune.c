/*
 * test_cache_prune.c: which files the rules of udm_cache_prune() remove, and which
 * they leave.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/cache.h"
#include "cmocka_headers.h"
#include "smallest_cubin.h"
#include "temporary_folder.h"

#define MINUTE INT64_C(60)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static udm_options options_for(const char *folder) {
  udm_options options = UDM_OPTIONS_INIT;
  options.cache_dir = folder;
  return options;
}

static void set_age(const char *path, int64_t seconds) {
  const time_t then = time(NULL) - (time_t)seconds;
  const struct timespec times[2] = {{then, 0}, {then, 0}};
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Stores an entry for sm_<arch>, last used so many seconds ago. */
static void store_aged(const char *folder, int32_t arch, int64_t seconds,
                       char path[UDM_PATH_SIZE]) {
  const struct settings settings = {.cache_dir = folder};
  store_cubin(&settings, arch, arch, "a test\n", path);
  set_age(path, seconds);
}

static bool exists(const char *path) { return access(path, F_OK) == 0; }

struct removals {
  int count;
  int in_use;
  char reasons[8][64];
  char paths[8][UDM_PATH_SIZE];
};

static int note_removal(void *user_data, const udm_cache_removal *removal) {
  struct removals *removals = user_data;
  assert_true(removals->count < 8);
  snprintf(removals->reasons[removals->count], 64, "%s", removal->reason);
  snprintf(removals->paths[removals->count], UDM_PATH_SIZE, "%s", removal->path);
  removals->in_use += removal->in_use;
  ++removals->count;
  return 0;
}

static udm_cache_prune_result prune(const udm_options *options,
                                    const udm_cache_prune_options *rules,
                                    struct removals *removals) {
  udm_cache_prune_result result = {.struct_size = sizeof result};
  memset(removals, 0, sizeof *removals);
  if (udm_cache_prune(options, rules, note_removal, removals, &result) != UDM_OK) {
    fail_msg("%s", udm_last_error());
  }
  return result;
}

static void test_a_good_cache_keeps_everything(void **state) {
  char path[UDM_PATH_SIZE];
  struct removals removals;
  const udm_options options = options_for(*state);
  store_aged(*state, 90, 400 * DAY, path);
  const udm_cache_prune_result result = prune(&options, NULL, &removals);
  assert_int_equal(removals.count, 0);
  assert_int_equal(result.kept, 1);
  assert_true(result.kept_bytes > 0);
  assert_true(exists(path));
}

static void test_rules(void **state) {
  char old[UDM_PATH_SIZE];
  char other[UDM_PATH_SIZE];
  char kept[UDM_PATH_SIZE];
  struct removals removals;
  const int32_t keep[] = {90, 100};
  const udm_options options = options_for(*state);
  udm_cache_prune_options rules = UDM_CACHE_PRUNE_OPTIONS_INIT;
  store_aged(*state, 90, 31 * DAY, old);
  store_aged(*state, 80, HOUR, other);
  store_aged(*state, 100, 29 * DAY, kept);
  rules.older_than_seconds = 30 * DAY;
  rules.keep_archs = keep;
  rules.keep_arch_count = 2;
  const udm_cache_prune_result result = prune(&options, &rules, &removals);
  assert_int_equal(result.removed, 2);
  assert_int_equal(result.kept, 1);
  assert_string_equal(removals.reasons[0], "not used lately");
  assert_string_equal(removals.paths[0], old);
  assert_string_equal(removals.reasons[1], "architecture not kept");
  assert_false(exists(old));
  assert_false(exists(other));
  assert_true(exists(kept));
}

static void test_the_least_recently_used_give_way_to_the_limit(void **state) {
  char oldest[UDM_PATH_SIZE];
  char middle[UDM_PATH_SIZE];
  char newest[UDM_PATH_SIZE];
  struct stat status;
  struct removals removals;
  const udm_options options = options_for(*state);
  udm_cache_prune_options rules = UDM_CACHE_PRUNE_OPTIONS_INIT;
  store_aged(*state, 80, 2 * HOUR, middle);
  store_aged(*state, 90, 3 * HOUR, oldest);
  store_aged(*state, 100, HOUR, newest);
  assert_int_equal(stat(newest, &status), 0);
  rules.max_bytes = (uint64_t)status.st_size + 1;
  const udm_cache_prune_result result = prune(&options, &rules, &removals);
  assert_int_equal(result.removed, 2);
  assert_string_equal(removals.paths[0], oldest);
  assert_string_equal(removals.paths[1], middle);
  assert_true(exists(newest));
  assert_int_equal(result.kept_bytes, status.st_size);
  rules.max_bytes = 0; /* nothing may stay */
  assert_int_equal(prune(&options, &rules, &removals).removed, 1);
  assert_false(exists(newest));
}

static void test_a_dry_run_removes_nothing_and_says_the_same(void **state) {
  char first[UDM_PATH_SIZE];
  char second[UDM_PATH_SIZE];
  struct removals dry;
  struct removals real;
  const udm_options options = options_for(*state);
  udm_cache_prune_options rules = UDM_CACHE_PRUNE_OPTIONS_INIT;
  store_aged(*state, 80, 2 * DAY, first);
  store_aged(*state, 90, DAY, second);
  rules.older_than_seconds = 36 * HOUR;
  rules.max_bytes = 1;
  rules.flags = UDM_CACHE_PRUNE_DRY_RUN;
  const udm_cache_prune_result would = prune(&options, &rules, &dry);
  assert_true(exists(first) && exists(second));
  rules.flags = 0;
  const udm_cache_prune_result was = prune(&options, &rules, &real);
  assert_memory_equal(&would, &was, sizeof was);
  assert_memory_equal(&dry, &real, sizeof real);
  assert_int_equal(was.removed, 2);
  assert_false(exists(first) || exists(second));
}

static void test_damaged_entries_and_leftovers_go_always(void **state) {
  char good[UDM_PATH_SIZE];
  char bad[UDM_PATH_SIZE];
  char leftover[UDM_PATH_SIZE];
  char young[UDM_PATH_SIZE];
  char foreign[UDM_PATH_SIZE];
  struct removals removals;
  const udm_options options = options_for(*state);
  store_aged(*state, 90, 0, good);
  snprintf(bad, sizeof bad, "%s/sm_80-bad.cubin", (const char *)*state);
  snprintf(leftover, sizeof leftover, "%s/.udm-0123456789abcdef01234567.tmp", (const char *)*state);
  snprintf(young, sizeof young, "%s/.udm-0123456789abcdef01234568.tmp", (const char *)*state);
  snprintf(foreign, sizeof foreign, "%s/notes.txt", (const char *)*state);
  write_file(bad, "x", 1);
  write_file(leftover, "x", 1);
  write_file(young, "x", 1);
  write_file(foreign, "x", 1);
  set_age(leftover, 2 * MINUTE);
  set_age(foreign, 400 * DAY);
  assert_int_equal(prune(&options, NULL, &removals).removed, 2);
  assert_false(exists(bad));
  assert_false(exists(leftover));
  assert_true(exists(young)); /* its writer may not have marked it yet */
  assert_true(exists(foreign));
  assert_true(exists(good));
}

static void test_what_is_in_use_stays(void **state) {
  char entry[UDM_PATH_SIZE];
  char temporary[UDM_PATH_SIZE];
  struct removals removals;
  const udm_options options = options_for(*state);
  udm_cache_prune_options rules = UDM_CACHE_PRUNE_OPTIONS_INIT;
  store_aged(*state, 90, DAY, entry);
  snprintf(temporary, sizeof temporary, "%s/.udm-0123456789abcdef01234567.tmp",
           (const char *)*state);
  write_file(temporary, "x", 1);
  set_age(temporary, 2 * MINUTE);
  const int reader = open(entry, O_RDONLY | O_CLOEXEC);
  const int writer = open(temporary, O_RDWR | O_CLOEXEC);
  udm_cache_mark_in_use(reader, false);
  udm_cache_mark_in_use(writer, true);
  rules.flags = UDM_CACHE_PRUNE_ALL;
  assert_int_equal(prune(&options, &rules, &removals).removed, 0);
  assert_int_equal(removals.in_use, removals.count);
  assert_true(exists(entry) && exists(temporary));
  close(reader);
  close(writer);
  assert_int_equal(prune(&options, &rules, &removals).removed, 2);
}

static void test_bad_rules(void **state) {
  const udm_options options = options_for(*state);
  udm_cache_prune_options rules = UDM_CACHE_PRUNE_OPTIONS_INIT;
  udm_cache_prune_result result = {0};
  rules.flags = 0x80;
  assert_int_equal(udm_cache_prune(&options, &rules, NULL, NULL, NULL), UDM_ERROR_INVALID_ARGUMENT);
  rules.flags = 0;
  rules.keep_arch_count = 1;
  assert_int_equal(udm_cache_prune(&options, &rules, NULL, NULL, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "keep_archs"));
  assert_int_equal(udm_cache_prune(&options, NULL, NULL, NULL, &result),
                   UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "struct_size"));
  assert_int_equal(chmod(*state, 0777), 0);
  assert_int_equal(udm_cache_prune(&options, NULL, NULL, NULL, NULL), UDM_ERROR_CACHE);
  assert_int_equal(chmod(*state, 0700), 0);
}

static void test_no_folder_is_an_empty_cache(void **state) {
  udm_cache_prune_result result = {.struct_size = sizeof result, .kept = 7};
  const udm_options options = options_for(path_in(*state, "none"));
  assert_int_equal(udm_cache_prune(&options, NULL, NULL, NULL, &result), UDM_OK);
  assert_int_equal(result.kept, 0);
  assert_int_equal(access(path_in(*state, "none"), F_OK), -1);
}

int main(void) {
#define IN_FOLDER(test) \
  cmocka_unit_test_setup_teardown(test, make_temporary_folder, remove_temporary_folder)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(test_a_good_cache_keeps_everything),
      IN_FOLDER(test_rules),
      IN_FOLDER(test_the_least_recently_used_give_way_to_the_limit),
      IN_FOLDER(test_a_dry_run_removes_nothing_and_says_the_same),
      IN_FOLDER(test_damaged_entries_and_leftovers_go_always),
      IN_FOLDER(test_what_is_in_use_stays),
      IN_FOLDER(test_bad_rules),
      IN_FOLDER(test_no_folder_is_an_empty_cache),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
