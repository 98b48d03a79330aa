/*
 * test_cache_file_faults.c: every system call of the cache fails in turn, with each
 * error that a file system has. udm_create() works all the same, no bad entry and no
 * partial file stays, and the next start finds a warm cache.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cache_fixture.h"
#include "faults.h"
#include "temporary_folder.h"

/* ESTALE: on a network file system, the loser of a rename race gets it. */
static const int errors[] = {EIO, EINTR, EACCES, ENOENT, ENOSPC, EDQUOT, ESTALE, EMFILE, EROFS};
enum { ERRORS = sizeof errors / sizeof errors[0], FEW_ERRORS = 4 };

static struct create_result result; /* too large for the stack of a sanitized build */

static void fail_with(const struct fault_plan *plan, const char *what) {
  fail_msg("%s: call %ld, %s, failed with %s: %s\nlog:\n%s", what, plan->at,
           faults_befell() ? faults_befell() : "none", strerror(plan->error), udm_last_error(),
           result.log);
}

/* A temporary file may stay only if unlinkat() failed. */
static void check_folder(const struct fault_plan *plan) {
  struct cache_contents contents;
  const bool may_stay = faults_befell() && strcmp(faults_befell(), "unlinkat") == 0;
  look_at_cache(&contents);
  if (contents.bad > 0) fail_with(plan, contents.reason);
  if (!may_stay && count_files(".tmp") > 0) fail_with(plan, "a temporary file stays");
}

/* Returns true if the plan's call was reached. */
static bool create_with_fault(const struct fault_plan *plan) {
  const int open_files = count_open_files();
  faults_arm(plan);
  create_once(&result);
  const long calls = faults_disarm();
  if (result.status != UDM_OK) fail_with(plan, "udm_create failed");
  if (count_open_files() != open_files) fail_with(plan, "a descriptor leaks");
  return calls >= plan->at;
}

/* After the fault, the second start at the latest is warm. */
static void check_that_it_heals(const struct fault_plan *plan) {
  create_once(&result);
  if (result.status != UDM_OK) fail_with(plan, "the next udm_create failed");
  create_once(&result);
  if (result.status != UDM_OK || result.counted.hits_writable != 1 ||
      result.counted.compiles != 0) {
    fail_with(plan, "the cache is not warm after it");
  }
  check_folder(plan);
}

static void try_every_call(int error_count, void (*prepare)(void), bool bad_may_stay) {
  for (int e = 0; e < error_count; ++e) {
    struct fault_plan plan = {FAULT_ERROR, errors[e], NULL, 1, false};
    bool came_up = true;
    for (; came_up; ++plan.at) {
      clear_cache();
      prepare();
      came_up = create_with_fault(&plan);
      if (!bad_may_stay) check_folder(&plan);
      check_that_it_heals(&plan);
    }
    assert_true(plan.at > 3); /* there were calls at all */
  }
}

static void prepare_nothing(void) {}

static void test_a_cold_start(void **state) {
  (void)state;
  try_every_call(ERRORS, prepare_nothing, false);
}

static void prepare_entry(void) { prewarm(NULL); }

/* A temporary error does not cost the good entry. */
static void test_a_warm_start(void **state) {
  struct cache_contents contents;
  char path[UDM_PATH_SIZE];
  (void)state;
  prewarm(path);
  age_files(".cubin", 3600); /* so that it is touched, too */
  struct fault_plan plan = {FAULT_ERROR, EIO, NULL, 1, false};
  for (bool came_up = true; came_up; ++plan.at) {
    came_up = create_with_fault(&plan);
    look_at_cache(&contents);
    assert_int_equal(contents.ok, 1);
    assert_int_equal(contents.bad, 0);
    assert_int_equal(result.counted.repairs, 0);
  }
  assert_true(plan.at > 6);
  try_every_call(FEW_ERRORS, prepare_entry, false);
}

/* Another process has removed it since the folder was listed: not damage. */
static void test_an_entry_that_vanishes(void **state) {
  struct cache_contents contents;
  const struct fault_plan vanishes = {FAULT_ERROR, ENOENT, "openat", 1, false};
  /* the first openat() of a listing opens the folder itself */
  const struct fault_plan vanishes_from_list = {FAULT_ERROR, ENOENT, "openat", 2, true};
  (void)state;
  prewarm(NULL);
  assert_true(create_with_fault(&vanishes));
  assert_created(&result, UDM_IMAGE_CACHE); /* the second look, under the lock, finds it */
  assert_int_equal(result.counted.misses_no_entry, 1);
  assert_int_equal(result.counted.misses_damaged + result.counted.repairs, 0);
  faults_arm(&vanishes_from_list);
  look_at_cache(&contents);
  assert_int_equal(faults_disarm(), 2);
  assert_int_equal(contents.bad, 0);
}

static int count_entry(void *user_data, const udm_cache_entry_info *entry) {
  (void)entry;
  ++*(int *)user_data;
  return 0;
}

/* A list that ends early would look like a whole one. */
static void test_a_folder_that_cannot_be_listed_to_its_end(void **state) {
  const struct fault_plan breaks_off = {FAULT_ERROR, EIO, "readdir", 2, true};
  int entries = 0;
  (void)state;
  prewarm(NULL);
  faults_arm(&breaks_off);
  assert_int_equal(udm_cache_enumerate(NULL, count_entry, &entries), UDM_ERROR_CACHE);
  assert_int_equal(udm_cache_prune(NULL, NULL, NULL, NULL, NULL), UDM_ERROR_CACHE);
  faults_disarm();
  assert_int_equal(entries, 0);
  assert_non_null(strstr(udm_last_error(), "cannot be listed: Input/output error"));
  assert_int_equal(udm_cache_enumerate(NULL, count_entry, &entries), UDM_OK);
  assert_int_equal(entries, 1);
}

static void prepare_damaged_entry(void) {
  char path[UDM_PATH_SIZE];
  prewarm(path);
  write_file(path, "damaged", 7);
}

static void test_a_start_over_a_damaged_entry(void **state) {
  (void)state;
  try_every_call(FEW_ERRORS, prepare_damaged_entry, true);
}

static void prepare_folder_in_the_way(void) {
  char path[UDM_PATH_SIZE];
  prewarm(path);
  unlink(path);
  write_file(path_in(path, "somebody's"), "x", 1);
}

static void test_a_start_over_a_folder_in_the_way(void **state) {
  (void)state;
  try_every_call(FEW_ERRORS, prepare_folder_in_the_way, true);
}

/* For example on a disk that stays full: the log names the call and the reason. */
static void test_calls_that_fail_for_good(void **state) {
  static const struct {
    const char *call;
    int error;
    const char *in_log;
  } cases[] = {
      {"write", ENOSPC, "write: No space left on device"},
      {"write", EDQUOT, "write: Disk quota exceeded"},
      {"write", EIO, "write: Input/output error"},
      {"fsync", ENOSPC, "fsync: No space left on device"},
      {"fsync", EIO, "fsync: Input/output error"},
      {"renameat", ESTALE, "rename: Stale file handle"},
      {"renameat", ENOSPC, "rename: No space left on device"},
      {"mkdir", EROFS, "there is no such folder"},
      {"getrandom", ENOSYS, "creating a file: Function not implemented"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    const struct fault_plan plan = {FAULT_ERROR, cases[i].error, cases[i].call, 1, true};
    clear_cache();
    for (int start = 0; start < 2; ++start) {
      assert_true(create_with_fault(&plan));
      assert_created(&result, UDM_IMAGE_NVRTC);
      assert_int_equal(result.counted.publish_failures, 1);
      if (!strstr(result.log, cases[i].in_log)) fail_with(&plan, cases[i].in_log);
      check_folder(&plan);
    }
    check_that_it_heals(&plan);
  }
}

/* udm_create() may fail then, and says why. Nothing else fails. */
static void test_memory_runs_out(void **state) {
  static void (*const prepare[])(void) = {prepare_nothing, prepare_entry, prepare_damaged_entry};
  (void)state;
  for (size_t p = 0; p < sizeof prepare / sizeof prepare[0]; ++p) {
    struct fault_plan plan = {FAULT_ERROR, ENOMEM, "malloc", 1, false};
    for (bool came_up = true; came_up; ++plan.at) {
      clear_cache();
      prepare[p]();
      const int open_files = count_open_files();
      faults_arm(&plan);
      create_once(&result);
      came_up = faults_disarm() >= plan.at;
      if (result.status != UDM_OK && result.status != UDM_ERROR_OUT_OF_MEMORY &&
          !strstr(udm_last_error(), "memory")) {
        fail_with(&plan, "not a word of memory");
      }
      if (count_open_files() != open_files) fail_with(&plan, "a descriptor leaks");
      check_that_it_heals(&plan);
    }
    assert_true(plan.at > 3);
  }
}

/* A file may not grow beyond RLIMIT_FSIZE: SIGXFSZ would end the process. */
static void create_under_file_size_limit(const char *folder) {
  const struct rlimit limit = {64, RLIM_INFINITY};
  (void)folder;
  CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  unsetenv("UDM_FAKE_NVRTC_LOG");
  create_once(&result);
  CHILD_CHECK(result.status == UDM_OK);
  CHILD_CHECK(result.counted.publish_failures == 1);
  CHILD_CHECK(strstr(result.log, "File too large"));
  CHILD_CHECK(count_files(".tmp") == 0);
}

static void test_a_limit_of_the_file_size(void **state) {
  run_in_child(create_under_file_size_limit, *state);
}

/* Descriptors run out at every point: the image still loads, and no descriptor leaks. */
static void create_with_few_descriptors(const char *folder) {
  struct rlimit limit = {0, 0};
  (void)folder;
  CHILD_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  create_once(&result); /* the libraries are in memory from now on */
  int open_files[64] = {0};
  int count = 0;
  limit.rlim_cur = 64;
  CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  while (count < 64 && (open_files[count] = dup(STDOUT_FILENO)) >= 0) ++count;
  CHILD_CHECK(count > 8);
  for (int left = 0; left < 8; ++left) {
    create_once(&result);
    CHILD_CHECK(result.status == UDM_OK || left < 3); /* NVRTC is a file, too */
    CHILD_CHECK(result.counted.repairs == 0);
    if (count > 0) close(open_files[--count]);
  }
  create_once(&result);
  CHILD_CHECK(result.counted.hits_writable == 1);
  int again = 0;
  while (dup(STDOUT_FILENO) >= 0) ++again;
  CHILD_CHECK(again == 8); /* as many as were closed */
}

static void test_descriptors_run_out(void **state) {
  run_in_child(create_with_few_descriptors, *state);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CACHE_TEST(test_a_cold_start),
      CACHE_TEST(test_a_warm_start),
      CACHE_TEST(test_an_entry_that_vanishes),
      CACHE_TEST(test_a_folder_that_cannot_be_listed_to_its_end),
      CACHE_TEST(test_a_start_over_a_damaged_entry),
      CACHE_TEST(test_a_start_over_a_folder_in_the_way),
      CACHE_TEST(test_calls_that_fail_for_good),
      CACHE_TEST(test_memory_runs_out),
      CACHE_TEST(test_a_limit_of_the_file_size),
      CACHE_TEST(test_descriptors_run_out),
  };
  faults_skip_fsync();
  use_fake_device();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
