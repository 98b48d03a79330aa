/*
 * test_cache_evict.c: the size limit removes the least recently used entry first, and
 * never one that is being read; what a toolkit upgrade leaves behind.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache/cache.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache_fixture.h"
#include "faults.h"
#include "temporary_folder.h"

static struct create_result result;

static void prewarm_arch(int32_t arch, char path[UDM_PATH_SIZE]) {
  udm_prewarm_result prewarmed = {.struct_size = sizeof prewarmed};
  if (udm_prewarm(NULL, arch, 0, &prewarmed) != UDM_OK) fail_msg("%s", udm_last_error());
  assert_int_equal(prewarmed.compiled, 1);
  if (path) memcpy(path, prewarmed.path, UDM_PATH_SIZE);
}

static void set_last_used(const char *path, long seconds_ago) {
  const struct timespec then = {time(NULL) - seconds_ago, 0};
  const struct timespec times[2] = {then, then};
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool is_there(const char *path) { return access(path, F_OK) == 0; }

static uint64_t evictions(void) {
  udm_cache_counters counters;
  take_counters(&counters);
  return counters.evictions;
}

/* Sets the limit to so many and a half entries of this size. */
static void set_limit(const char *path, int entries) {
  struct stat status;
  char text[32];
  assert_int_equal(stat(path, &status), 0);
  snprintf(text, sizeof text, "%lld", (long long)(status.st_size * (2 * entries + 1) / 2));
  setenv("UDM_CACHE_MAX_BYTES", text, 1);
}

enum { OLD_ENTRIES = 4 };
static const int32_t old_archs[OLD_ENTRIES] = {75, 80, FIXTURE_ARCH, 86};

/* Makes four entries; the first is the least recently used. */
static void make_old_entries(char paths[OLD_ENTRIES][UDM_PATH_SIZE]) {
  for (int i = 0; i < OLD_ENTRIES; ++i) {
    prewarm_arch(old_archs[i], paths[i]);
    set_last_used(paths[i], 10000 - 1000 * i);
  }
  set_limit(paths[0], 3);
}

static void test_least_recently_used_first(void **state) {
  char paths[OLD_ENTRIES][UDM_PATH_SIZE];
  char newest[UDM_PATH_SIZE];
  (void)state;
  make_old_entries(paths);
  const uint64_t before = evictions();
  prewarm_arch(89, newest);
  assert_int_equal(evictions() - before, 2);
  assert_false(is_there(paths[0]));
  assert_false(is_there(paths[1]));
  assert_true(is_there(paths[2]) && is_there(paths[3]) && is_there(newest));
}

/* The oldest file stays if it is used. */
static void test_use_counts_not_age(void **state) {
  char paths[OLD_ENTRIES][UDM_PATH_SIZE];
  (void)state;
  make_old_entries(paths);
  set_last_used(paths[2], 20000);
  create_once(&result);
  assert_created(&result, UDM_IMAGE_CACHE);
  prewarm_arch(89, NULL);
  assert_true(is_there(paths[2]));
  assert_false(is_there(paths[0]) || is_there(paths[1]));
}

/* Forks a process that stops while it reads the entry. */
static pid_t stop_while_reading(void) {
  static const struct fault_plan plan = {FAULT_STOP, 0, "read", 1, false};
  int status = 0;
  const pid_t child = fork_child();
  if (child == 0) {
    setenv("UDM_NO_COMPILE", "1", 1);
    faults_arm(&plan);
    create_once(&result);
    _exit(result.status == UDM_OK && result.counted.hits_writable == 1 ? 0 : 1);
  }
  assert_int_equal(waitpid(child, &status, WUNTRACED), child);
  assert_true(WIFSTOPPED(status));
  return child;
}

static void test_an_entry_being_read_stays(void **state) {
  char paths[OLD_ENTRIES][UDM_PATH_SIZE];
  int status = 0;
  (void)state;
  make_old_entries(paths);
  set_last_used(paths[2], 20000);
  const pid_t reader = stop_while_reading();
  prewarm_arch(89, NULL);
  assert_true(is_there(paths[2]));
  assert_false(is_there(paths[0]) || is_there(paths[1]));
  kill(reader, SIGCONT);
  assert_int_equal(waitpid(reader, &status, 0), reader);
  assert_int_equal(status, 0);
  set_last_used(paths[2], 20000);
  prewarm_arch(100, NULL); /* once the read is over, the entry is evicted like any other */
  assert_false(is_there(paths[2]));
}

static void test_an_entry_larger_than_the_limit(void **state) {
  (void)state;
  setenv("UDM_CACHE_MAX_BYTES", "100", 1);
  create_once(&result);
  assert_created(&result, UDM_IMAGE_NVRTC);
  assert_int_equal(result.counted.publish_failures, 1);
  assert_non_null(strstr(result.log, "raise UDM_CACHE_MAX_BYTES"));
  assert_int_equal(count_files(".cubin"), 0);
}

/* A file of absurd size does not evict the good entries. */
static void test_a_giant_goes_first(void **state) {
  char path[UDM_PATH_SIZE];
  char good[UDM_PATH_SIZE];
  (void)state;
  prewarm_arch(80, good);
  set_last_used(good, 10000);
  snprintf(path, sizeof path, "%s/sm_75-giant.cubin", cache_folder());
  const int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  assert_true(file >= 0);
  assert_int_equal(ftruncate(file, (off_t)1 << 40), 0);
  close(file);
  prewarm_arch(89, NULL);
  assert_false(is_there(path));
  assert_true(is_there(good));
}

static void assert_served_by(const char *path) {
  create_once(&result);
  assert_created(&result, UDM_IMAGE_CACHE);
  assert_int_equal(result.counted.compiles, 0);
  if (!strstr(result.log, path)) fail_msg("not served by %s:\n%s", path, result.log);
}

/* Entries from the future, made by a wrong clock, must neither count as newest nor go last. */
static void test_dates_in_the_future(void **state) {
  char future[UDM_PATH_SIZE];
  char good[UDM_PATH_SIZE];
  char other[UDM_PATH_SIZE];
  struct stat status;
  (void)state;
  setenv("UDM_FAKE_NVRTC_VERSION", "12.9", 1);
  prewarm_arch(FIXTURE_ARCH, future);
  set_last_used(future, -1000000);
  create_once(&result);
  assert_created(&result, UDM_IMAGE_CACHE);
  assert_int_equal(stat(future, &status), 0);
  assert_true(status.st_atim.tv_sec <= time(NULL) + 60); /* a use still sets the access time */
  set_last_used(future, -1000000);
  setenv("UDM_FAKE_NVRTC_VERSION", "13.0", 1);
  prewarm_arch(FIXTURE_ARCH, good);
  assert_served_by(good);
  set_last_used(good, 10000);
  set_limit(good, 2);
  prewarm_arch(80, other);
  assert_false(is_there(future));
  assert_true(is_there(good) && is_there(other));
}

/* Files without an entry's name do not belong to the cache, however bad they are. */
static void test_a_cubin_of_somebody_else_stays(void **state) {
  char theirs[UDM_PATH_SIZE];
  char good[UDM_PATH_SIZE];
  udm_cache_prune_options rules = UDM_CACHE_PRUNE_OPTIONS_INIT;
  (void)state;
  prewarm_arch(80, good);
  snprintf(theirs, sizeof theirs, "%s/my_kernel.cubin", cache_folder());
  FILE *file = fopen(theirs, "w");
  assert_non_null(file);
  fprintf(file, "something that they need");
  fclose(file);
  set_last_used(theirs, 20000);
  set_limit(good, 1);
  prewarm_arch(89, NULL);
  assert_false(is_there(good));
  rules.flags = UDM_CACHE_PRUNE_ALL;
  assert_int_equal(udm_cache_prune(NULL, &rules, NULL, NULL, NULL), UDM_OK);
  assert_int_equal(count_files(".cubin"), 1);
  assert_true(is_there(theirs));
}

/* The name belongs to another file now, perhaps with the old inode number. */
static void test_a_file_that_took_the_place_of_another_stays(void **state) {
  struct stat old;
  struct stat new;
  const char *name = "sm_90-entry.cubin";
  char path[UDM_PATH_SIZE];
  struct cache_dir dir = {.writable = true, .fd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  assert_true(dir.fd >= 0);
  snprintf(path, sizeof path, "%s", path_in(*state, name));
  for (int i = 0; i < 20; ++i) {
    write_file(path, "old", 3);
    set_last_used(path, 1000);
    assert_int_equal(stat(path, &old), 0);
    assert_int_equal(unlink(path), 0);
    write_file(path, "new", 3);
    assert_int_equal(stat(path, &new), 0);
    assert_int_equal(udm_cache_file_remove(&dir, name, &old, false, NULL), CACHE_REMOVAL_REPLACED);
    assert_int_equal(udm_cache_file_remove(&dir, name, &new, false, NULL), CACHE_REMOVED);
  }
  udm_cache_dir_close(&dir);
}

/* udm_plan_image(): neither its lookups nor a use of the entry are counted. */
static void test_a_plan_is_no_use(void **state) {
  static udm_image_plan plan = {.struct_size = sizeof plan};
  udm_cache_counters before;
  udm_cache_counters after;
  struct stat status_before;
  struct stat status_after;
  char path[UDM_PATH_SIZE];
  (void)state;
  prewarm_arch(FIXTURE_ARCH, path);
  set_last_used(path, 10000);
  take_counters(&before);
  assert_int_equal(stat(path, &status_before), 0);
  assert_int_equal(udm_plan_image(NULL, FIXTURE_ARCH, &plan), UDM_OK);
  assert_int_equal(plan.source, UDM_IMAGE_CACHE);
  assert_int_equal(udm_plan_image(NULL, 80, &plan), UDM_OK);
  assert_int_equal(plan.source, UDM_IMAGE_NVRTC);
  take_counters(&after);
  assert_int_equal(stat(path, &status_after), 0);
  assert_int_equal(after.hits_writable, before.hits_writable);
  assert_int_equal(after.misses_no_entry, before.misses_no_entry);
  assert_int_equal(after.compiles, before.compiles);
  assert_int_equal(status_before.st_atim.tv_sec, status_after.st_atim.tv_sec);
}

static void test_a_toolkit_upgrade(void **state) {
  char old[UDM_PATH_SIZE];
  char new[UDM_PATH_SIZE];
  (void)state;
  setenv("UDM_FAKE_NVRTC_VERSION", "12.9", 1);
  prewarm_arch(FIXTURE_ARCH, old);
  set_last_used(old, 10000);
  setenv("UDM_FAKE_NVRTC_VERSION", "13.0", 1);
  assert_served_by(old); /* still good */
  prewarm_arch(FIXTURE_ARCH, new);
  assert_string_not_equal(old, new);
  assert_served_by(new);
  setenv("UDM_FAKE_NVRTC_VERSION", "12.9", 1);
  assert_served_by(new); /* a lookup accepts any producer */
  set_last_used(old, 10000);
  set_limit(new, 2);
  prewarm_arch(80, NULL);
  assert_false(is_there(old)); /* unused, it ages out */
  assert_true(is_there(new));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CACHE_TEST(test_least_recently_used_first),
      CACHE_TEST(test_use_counts_not_age),
      CACHE_TEST(test_an_entry_being_read_stays),
      CACHE_TEST(test_an_entry_larger_than_the_limit),
      CACHE_TEST(test_a_giant_goes_first),
      CACHE_TEST(test_dates_in_the_future),
      CACHE_TEST(test_a_cubin_of_somebody_else_stays),
      CACHE_TEST(test_a_file_that_took_the_place_of_another_stays),
      CACHE_TEST(test_a_plan_is_no_use),
      CACHE_TEST(test_a_toolkit_upgrade),
  };
  use_fake_device();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
