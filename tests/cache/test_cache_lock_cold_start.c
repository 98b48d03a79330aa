/*
 * test_cache_lock_cold_start.c: many processes start together with a cold cache. One
 * compiles, and each gets a good image.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_fixture.h"
#include "processes.h"
#include "temporary_folder.h"

enum { PROCESSES = 16, LINE_SIZE = 16384 };

/* Sums over all processes. */
struct sums {
  int64_t compiles;
  int64_t compile_failures;
  int64_t remembered_failures;
  int64_t publishes;
  int64_t hits;
  int64_t bad;
  int64_t lock_waits;
  int64_t lock_timeouts;
  int64_t repairs;
  int failed;
};

static void add_line(struct sums *sums, const char *line) {
  sums->compiles += number_in_line(line, "compiles");
  sums->compile_failures += number_in_line(line, "compile_failures");
  sums->remembered_failures += number_in_line(line, "remembered_failures");
  sums->publishes += number_in_line(line, "publishes");
  sums->hits += number_in_line(line, "hits_writable");
  sums->bad += number_in_line(line, "misses_damaged") + number_in_line(line, "misses_refused");
  sums->lock_waits += number_in_line(line, "lock_waits");
  sums->lock_timeouts += number_in_line(line, "lock_timeouts");
  sums->repairs += number_in_line(line, "repairs");
}

/* Starts the processes together. A process that fails says why. */
static struct sums start_together(const char *folder, const char *action) {
  struct process processes[PROCESSES];
  struct sums sums = {0};
  char line[LINE_SIZE];
  char count[16];
  char meeting[4352];
  snprintf(meeting, sizeof meeting, "%s", path_in(folder, "meeting"));
  snprintf(count, sizeof count, "%d", PROCESSES);
  const char *const arguments[] = {
      set_variable("CACHE_PROCESS"), "--together", meeting, count, action, NULL};
  remove(meeting);
  for (int p = 0; p < PROCESSES; ++p) process_start(&processes[p], arguments);
  for (int p = 0; p < PROCESSES; ++p) {
    const int status = process_finish(&processes[p], line, sizeof line);
    if (status != 0) {
      printf("a process ended with %d: %s\n", status, line);
      ++sums.failed;
    }
    add_line(&sums, line);
  }
  return sums;
}

static void assert_one_compile(const char *folder, const struct sums *sums) {
  struct cache_contents contents;
  assert_int_equal(sums->failed, 0);
  assert_int_equal(count_compiles(folder), 1);
  assert_int_equal(sums->compiles, 1);
  assert_int_equal(sums->publishes, 1);
  assert_int_equal(sums->lock_timeouts, 0);
  look_at_cache(&contents);
  assert_int_equal(contents.ok, 1);
  assert_int_equal(contents.bad, 0);
  assert_int_equal(count_files(".tmp"), 0);
}

/* The compile takes so long that all processes arrive while it runs. */
static void test_processes_that_create(void **state) {
  setenv("UDM_FAKE_NVRTC_DELAY_MS", "500", 1);
  const struct sums sums = start_together(*state, "create");
  assert_one_compile(*state, &sums);
  assert_int_equal(sums.hits, PROCESSES - 1);
  assert_int_equal(sums.bad, 0);
  assert_true(sums.lock_waits > 0); /* they did arrive while it ran */
}

static void test_processes_that_prewarm(void **state) {
  setenv("UDM_FAKE_NVRTC_DELAY_MS", "500", 1);
  const struct sums sums = start_together(*state, "prewarm");
  assert_one_compile(*state, &sums);
  assert_true(sums.lock_waits > 0);
}

static void test_processes_that_find_a_damaged_entry(void **state) {
  char path[UDM_PATH_SIZE];
  prewarm(path);
  write_file(path, "damaged", 7);
  remove(path_in(*state, "compiles"));
  setenv("UDM_FAKE_NVRTC_DELAY_MS", "500", 1);
  const struct sums sums = start_together(*state, "create");
  assert_one_compile(*state, &sums);
  assert_true(sums.bad >= 1);
  assert_int_equal(sums.repairs, 1);
}

/* The rejected image is in a read-only layer, so it stays: one process still builds. */
static void test_processes_that_find_a_refused_image(void **state) {
  char layer[UDM_PATH_SIZE];
  char path[UDM_PATH_SIZE];
  prewarm(path);
  spoil_image(path);
  snprintf(layer, sizeof layer, "%s", cache_folder());
  setenv("UDM_CACHE_PATH", layer, 1);
  setenv("UDM_CACHE_DIR", path_in(*state, "own"), 1);
  remove(path_in(*state, "compiles"));
  setenv("UDM_FAKE_NVRTC_DELAY_MS", "300", 1);
  const struct sums sums = start_together(*state, "create");
  assert_one_compile(*state, &sums);
  assert_true(sums.bad >= 1);
  assert_int_equal(sums.repairs, 0);
}

/* No delay, many rounds: there is one compile in whatever order the processes run. */
static void test_processes_whose_compile_is_quick(void **state) {
  for (int round = 0; round < 5; ++round) {
    clear_cache();
    remove(path_in(*state, "compiles"));
    const struct sums sums = start_together(*state, round % 2 ? "create" : "prewarm");
    assert_one_compile(*state, &sums);
  }
}

/* Each process tries once for itself, and none hangs. */
static void test_processes_whose_compile_fails(void **state) {
  setenv("UDM_FAKE_NVRTC_FAIL", "nvrtcCompileProgram:6", 1);
  forbid_ptx();
  (void)state;
  struct process processes[4];
  char line[LINE_SIZE];
  const char *const arguments[] = {set_variable("CACHE_PROCESS"), "create", NULL};
  for (int p = 0; p < 4; ++p) process_start(&processes[p], arguments);
  for (int p = 0; p < 4; ++p) {
    assert_int_not_equal(process_finish(&processes[p], line, sizeof line), 0);
    assert_int_equal(number_in_line(line, "compile_failures"), 2); /* the cubin, the PTX */
    assert_int_equal(number_in_line(line, "lock_timeouts"), 0);
    assert_non_null(strstr(line, "nvrtcCompileProgram"));
  }
}

/* With the NVRTC of this machine, if it has one. */
static void test_processes_with_the_real_nvrtc(void **state) {
  char fake_cuda[4096];
  udm_nvrtc_info nvrtc = {.struct_size = sizeof nvrtc};
  (void)state;
  snprintf(fake_cuda, sizeof fake_cuda, "%s", set_variable("UDM_NVRTC_LIBRARY"));
  unsetenv("UDM_NVRTC_LIBRARY");
  const bool found = udm_query_nvrtc(NULL, &nvrtc) == UDM_OK;
  const struct sums sums = found ? start_together(*state, "create") : (struct sums){0};
  setenv("UDM_NVRTC_LIBRARY", fake_cuda, 1);
  if (!found) {
    printf("skipped: %s\n", udm_last_error());
    skip();
  }
  assert_int_equal(sums.failed, 0);
  assert_int_equal(sums.compiles, 1);
  assert_int_equal(sums.hits, PROCESSES - 1);
  assert_int_equal(sums.bad, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CACHE_TEST(test_processes_that_create),
      CACHE_TEST(test_processes_that_prewarm),
      CACHE_TEST(test_processes_that_find_a_damaged_entry),
      CACHE_TEST(test_processes_that_find_a_refused_image),
      CACHE_TEST(test_processes_whose_compile_is_quick),
      CACHE_TEST(test_processes_whose_compile_fails),
      CACHE_TEST(test_processes_with_the_real_nvrtc),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
