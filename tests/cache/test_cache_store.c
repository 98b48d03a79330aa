/*
 * test_cache_store.c: entries are written whole, whatever has their name already,
 * and by many processes at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/cache.h"
#include "cmocka_headers.h"
#include "look_up.h"
#include "temporary_folder.h"

/* Counts all files except the lock file, which stays. */
static int count_files(const char *folder) {
  int count = 0;
  DIR *listing = opendir(folder);
  assert_non_null(listing);
  for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
    const char *name = entry->d_name;
    const bool is_own = strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
    count += is_own && strcmp(name, UDM_CACHE_LOCK_FILE) != 0;
  }
  closedir(listing);
  return count;
}

static void test_store_then_hit(void **state) {
  char path[UDM_PATH_SIZE];
  struct stat status;
  const char *folder = path_in(*state, "a/b/cache");
  const struct settings settings = settings_for(folder);
  assert_miss(&settings, &test_key);
  store(&settings, path);
  assert_hit(&settings, &test_key, true);
  assert_int_equal(stat(folder, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0700);
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0600);
  assert_int_equal(count_files(folder), 1); /* no temporary file stays */
}

/* Like eight containers that share a folder and in which each process has the number 1. */
static void test_many_processes_store_into_one_folder(void **state) {
  enum { PROCESSES = 8, ROUNDS = 20 };
  const struct settings settings = settings_for(*state);
  pid_t children[PROCESSES];
  for (int p = 0; p < PROCESSES; ++p) {
    children[p] = fork();
    assert_true(children[p] >= 0);
    if (children[p] != 0) continue;
    char producer[16];
    char path[UDM_PATH_SIZE];
    bool good = true;
    snprintf(producer, sizeof producer, "process %d", p % 4); /* two of each */
    struct cache_key mine = test_key;
    mine.producer = producer;
    for (int round = 0; round < ROUNDS; ++round) {
      struct hits hits = {0};
      good = good && udm_cache_store(&settings, &mine, producer, sizeof producer, path,
                                     udm_thread_error()) == UDM_OK;
      good = good && look_up(&settings, &mine, &hits) == UDM_OK;
      good = good && strcmp(hits.image, producer) == 0;
    }
    _exit(good ? 0 : 1);
  }
  for (int p = 0; p < PROCESSES; ++p) {
    int result = -1;
    assert_int_equal(waitpid(children[p], &result, 0), children[p]);
    assert_int_equal(result, 0);
  }
  assert_int_equal(count_files(*state), 4); /* no temporary file stays */
}

/* The folder's path fits, an entry's does not: the cache works through the descriptor. */
static void test_an_entry_whose_path_is_too_long_works_all_the_same(void **state) {
  char path[UDM_PATH_SIZE];
  static char folder[UDM_PATH_SIZE];
  snprintf(folder, sizeof folder, "%s", (const char *)*state);
  while (strlen(folder) < UDM_PATH_SIZE - 220) {
    udm_append(folder, sizeof folder, "/a-folder-with-a-name-of-30-bytes");
  }
  const struct settings settings = settings_for(folder);
  struct hits hits = {.reject = 1};
  store(&settings, path);
  assert_hit(&settings, &test_key, true);
  assert_int_equal(look_up(&settings, &test_key, &hits), UDM_ERROR_NOT_FOUND);
  assert_miss(&settings, &test_key); /* the lookup before removed it */
}

static void test_a_folder_that_cannot_be_made_is_an_error_of_storing_only(void **state) {
  char path[UDM_PATH_SIZE];
  write_file(path_in(*state, "file"), "x", 1);
  const struct settings settings = settings_for(path_in(*state, "file/cache"));
  assert_miss(&settings, &test_key);
  assert_int_equal(udm_cache_store(&settings, &test_key, test_image, sizeof test_image, path,
                                   udm_thread_error()),
                   UDM_ERROR_CACHE);
  assert_non_null(strstr(udm_last_error(), "UDM_CACHE_DIR"));
}

static void test_a_folder_in_an_entrys_place_gives_way(void **state) {
  char path[UDM_PATH_SIZE];
  char again[UDM_PATH_SIZE];
  char aside[2 * UDM_PATH_SIZE];
  struct stat status;
  const struct settings settings = settings_for(*state);
  store(&settings, path);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_miss(&settings, &test_key);
  store(&settings, again);
  assert_hit(&settings, &test_key, true);
  assert_int_equal(unlink(path), 0);
  write_file(path_in(path, "somebody's"), "x", 1);
  assert_int_equal(stat(path, &status), 0);
  store(&settings, again);
  assert_hit(&settings, &test_key, true);
  snprintf(aside, sizeof aside, "%s.folder-%llx/somebody's", path,
           (unsigned long long)status.st_ino);
  assert_int_equal(access(aside, F_OK), 0); /* nothing is lost */
}

/* Stores an entry of this producer, last used so many seconds ago. */
static void store_aged(const struct settings *settings, const char *producer, time_t seconds,
                       char path[UDM_PATH_SIZE]) {
  const struct timespec then = {time(NULL) - seconds, 0};
  const struct timespec times[2] = {then, then};
  struct cache_key key = test_key;
  key.producer = producer;
  assert_int_equal(
      udm_cache_store(settings, &key, test_image, sizeof test_image, path, udm_thread_error()),
      UDM_OK);
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_storing_keeps_the_limit_and_sweeps(void **state) {
  char first[UDM_PATH_SIZE];
  char second[UDM_PATH_SIZE];
  char third[UDM_PATH_SIZE];
  struct stat status;
  const struct timespec minutes_ago[2] = {{time(NULL) - 120, 0}, {time(NULL) - 120, 0}};
  struct settings settings = settings_for(*state);
  store_aged(&settings, "a", 3600, first);
  store_aged(&settings, "b", 7200, second);
  const char *leftover = path_in(*state, ".udm-0123456789abcdef01234567.tmp");
  write_file(leftover, "x", 1);
  assert_int_equal(utimensat(AT_FDCWD, leftover, minutes_ago, 0), 0);
  assert_int_equal(stat(first, &status), 0);
  settings.cache_max_bytes = (uint64_t)status.st_size * 2 + 16;
  store_aged(&settings, "c", 0, third);
  assert_int_equal(access(leftover, F_OK), -1);
  assert_int_equal(access(second, F_OK), -1); /* the least recently used */
  assert_int_equal(access(first, F_OK), 0);
  assert_int_equal(access(third, F_OK), 0);
}

int main(void) {
#define IN_FOLDER(test) \
  cmocka_unit_test_setup_teardown(test, make_temporary_folder, remove_temporary_folder)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(test_store_then_hit),
      IN_FOLDER(test_many_processes_store_into_one_folder),
      IN_FOLDER(test_an_entry_whose_path_is_too_long_works_all_the_same),
      IN_FOLDER(test_a_folder_that_cannot_be_made_is_an_error_of_storing_only),
      IN_FOLDER(test_storing_keeps_the_limit_and_sweeps),
      IN_FOLDER(test_a_folder_in_an_entrys_place_gives_way),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
