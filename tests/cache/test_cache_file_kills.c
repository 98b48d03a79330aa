/*
 * test_cache_file_kills.c: processes that compile and store are killed, at random
 * moments and before every system call. They leave no bad entry and no lock, and a
 * later run sweeps their files. The file of a live process is never swept.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache_fixture.h"
#include "faults.h"
#include "temporary_folder.h"

enum { ROUNDS = 300, READERS = 2, OTHER_ARCH = 80 };

static struct create_result result;

static udm_status compile_again(int32_t arch) {
  return udm_prewarm(NULL, arch, UDM_PREWARM_FORCE, NULL);
}

/* No process holds a lock any more. */
static void assert_no_lock_stays(void) {
  udm_cache_counters before;
  udm_cache_counters counted;
  take_counters(&before);
  assert_int_equal(compile_again(FIXTURE_ARCH), UDM_OK);
  assert_int_equal(compile_again(OTHER_ARCH), UDM_OK);
  take_counters(&counted);
  subtract_counters(&counted, &before);
  assert_int_equal(counted.lock_waits, 0);
  assert_int_equal(counted.lock_failures, 0);
  assert_int_equal(counted.compiles, 2);
}

static void assert_nothing_bad(int entries) {
  struct cache_contents contents;
  look_at_cache(&contents);
  if (contents.bad > 0) fail_msg("%s: %s", contents.path, contents.reason);
  assert_int_equal(contents.ok, entries);
}

/* Counts the leftovers of killed processes that one store removes. */
static uint64_t sweep(void) {
  udm_cache_counters before;
  udm_cache_counters counted;
  take_counters(&before);
  assert_int_equal(compile_again(OTHER_ARCH), UDM_OK);
  take_counters(&counted);
  subtract_counters(&counted, &before);
  return counted.leftovers_removed;
}

/* Ends when the file "stop" exists. Exits with 0 if every image was good. */
static void read_until_stopped(const char *folder) {
  long starts = 0;
  setenv("UDM_NO_COMPILE", "1", 1);
  while (access(path_in(folder, "stop"), F_OK) != 0) {
    create_once(&result);
    CHILD_CHECK(result.status == UDM_OK);
    CHILD_CHECK(result.counted.hits_writable == 1);
    CHILD_CHECK(result.counted.misses_damaged == 0);
    CHILD_CHECK(result.counted.misses_refused == 0);
    CHILD_CHECK(result.counted.repairs == 0);
    ++starts;
  }
  CHILD_CHECK(starts > 20);
  printf("a reader started %ld times\n", starts);
  fflush(stdout);
  _exit(0);
}

static void store_for_ever(void) {
  for (;;) {
    compile_again(FIXTURE_ARCH);
    compile_again(OTHER_ARCH);
  }
}

/* xorshift: a seed gives the same delays on every machine. */
static uint64_t next_random(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static void kill_at_random_moments(void) {
  const char *seed_text = getenv("UDM_TEST_SEED");
  uint64_t state = seed_text ? strtoull(seed_text, NULL, 10) : 20251125;
  printf("UDM_TEST_SEED=%llu\n", (unsigned long long)state);
  for (int round = 0; round < ROUNDS; ++round) {
    const struct timespec moment = {0, (long)(next_random(&state) % 10000000)};
    int status = 0;
    const pid_t child = fork_child();
    if (child == 0) store_for_ever();
    nanosleep(&moment, NULL);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
  }
}

static void test_random_moments(void **state) {
  pid_t readers[READERS];
  prewarm(NULL);
  compile_again(OTHER_ARCH);
  for (int r = 0; r < READERS; ++r) {
    readers[r] = fork_child();
    if (readers[r] == 0) read_until_stopped(*state);
  }
  kill_at_random_moments();
  write_file(path_in(*state, "stop"), "", 0);
  for (int r = 0; r < READERS; ++r) {
    int status = -1;
    assert_int_equal(waitpid(readers[r], &status, 0), readers[r]);
    assert_int_equal(status, 0);
  }
  const int leftovers = count_files(".tmp");
  printf("%d rounds left %d files\n", ROUNDS, leftovers);
  assert_true(leftovers > 0); /* some were killed while they wrote */
  assert_nothing_bad(2);
  assert_no_lock_stays();
  assert_int_equal(count_files(".tmp"), leftovers); /* too young to be swept */
  age_files(".tmp", 120);
  assert_int_equal(sweep(), leftovers);
  assert_int_equal(count_files(".tmp"), 0);
  assert_nothing_bad(2);
}

static void compile_until_killed(const struct fault_plan *plan) {
  faults_arm(plan);
  const udm_status status = compile_again(FIXTURE_ARCH);
  _exit(status == UDM_OK ? 0 : 1);
}

static void kill_before_every_call(bool warm) {
  int killed = 0;
  for (struct fault_plan plan = {FAULT_KILL, 0, NULL, 1, false};; ++plan.at) {
    int status = -1;
    if (!warm) clear_cache();
    const pid_t child = fork_child();
    if (child == 0) compile_until_killed(&plan);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status == 0) break; /* it made fewer calls */
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ++killed;
    create_once(&result);
    assert_int_equal(result.status, UDM_OK);
    assert_int_equal(result.counted.misses_damaged + result.counted.misses_refused, 0);
    assert_int_equal(result.counted.lock_waits, 0);
    if (warm) assert_created(&result, UDM_IMAGE_CACHE);
    assert_nothing_bad(1);
  }
  assert_true(killed > 10);
}

static void test_before_every_call_with_an_entry(void **state) {
  (void)state;
  prewarm(NULL);
  kill_before_every_call(true);
  const int leftovers = count_files(".tmp");
  assert_true(leftovers >= 3);
  age_files(".tmp", 120);
  assert_int_equal(sweep(), leftovers);
}

static void test_before_every_call_without_one(void **state) {
  (void)state;
  kill_before_every_call(false);
}

/* Forks a process that stops while it writes its file. */
static pid_t stop_while_storing(void) {
  const struct fault_plan plan = {FAULT_STOP, 0, "fsync", 1, false};
  int status = 0;
  const pid_t child = fork_child();
  if (child == 0) compile_until_killed(&plan);
  assert_int_equal(waitpid(child, &status, WUNTRACED), child);
  assert_true(WIFSTOPPED(status));
  return child;
}

static void test_the_file_of_a_live_process_is_not_swept(void **state) {
  static const long ages[] = {120, 90000, -86400}; /* minutes, a day, a clock that was wrong */
  int status = 0;
  (void)state;
  for (size_t i = 0; i < sizeof ages / sizeof ages[0]; ++i) {
    const pid_t child = stop_while_storing();
    assert_int_equal(count_files(".tmp"), 1);
    age_files(".tmp", ages[i]);
    assert_int_equal(sweep(), 0);
    assert_int_equal(count_files(".tmp"), 1);
    kill(child, SIGCONT); /* it continues undisturbed */
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(count_files(".tmp"), 0);
    const pid_t other = stop_while_storing();
    kill(other, SIGKILL);
    assert_int_equal(waitpid(other, &status, 0), other);
    age_files(".tmp", ages[i]);
    assert_int_equal(sweep(), 1);
    assert_int_equal(count_files(".tmp"), 0);
  }
  assert_no_lock_stays();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CACHE_TEST(test_random_moments),
      CACHE_TEST(test_before_every_call_with_an_entry),
      CACHE_TEST(test_before_every_call_without_one),
      CACHE_TEST(test_the_file_of_a_live_process_is_not_swept),
  };
  use_fake_device();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
