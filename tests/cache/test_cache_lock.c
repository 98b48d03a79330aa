/*
 * test_cache_lock.c: locks that fail, that exclude nobody, that are held for ever,
 * whose holder is killed, and whose file vanishes or is not a regular file. In each
 * case the cache stays correct; only compiles are repeated.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache/cache.h"

#include <errno.h>
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
#include "processes.h"
#include "temporary_folder.h"

enum { PROCESSES = 8, LINE_SIZE = 16384 };

static struct create_result result;

static const char *cache_file(const char *name) { return path_in(cache_folder(), name); }

static void create_without_locks(const char *folder) {
  (void)folder;
  create_once(&result);
  CHILD_CHECK(result.status == UDM_OK);
  CHILD_CHECK(result.counted.misses_damaged + result.counted.misses_refused == 0);
  CHILD_CHECK(result.counted.lock_waits + result.counted.lock_timeouts == 0);
  CHILD_CHECK(result.counted.publish_failures == 0);
}

/* All compile at once, each for itself, and store into one folder. */
static void start_without_locks(const char *folder) {
  pid_t children[PROCESSES];
  struct cache_contents contents;
  setenv("UDM_FAKE_NVRTC_DELAY_MS", "200", 1);
  for (int p = 0; p < PROCESSES; ++p) {
    children[p] = fork_child();
    if (children[p] == 0) {
      create_without_locks(folder);
      fflush(stdout);
      _exit(0);
    }
  }
  for (int p = 0; p < PROCESSES; ++p) {
    int status = -1;
    assert_int_equal(waitpid(children[p], &status, 0), children[p]);
    assert_int_equal(status, 0);
  }
  assert_true(count_compiles(folder) > 1);
  look_at_cache(&contents);
  assert_int_equal(contents.ok, 1);
  assert_int_equal(contents.bad, 0);
  assert_int_equal(count_files(".tmp"), 0);
  create_once(&result);
  assert_created(&result, UDM_IMAGE_CACHE);
}

static void test_locks_that_fail(void **state) {
  static const int errors[] = {ENOLCK, EOPNOTSUPP, EINVAL, ENOSYS, EIO};
  for (size_t e = 0; e < sizeof errors / sizeof errors[0]; ++e) {
    clear_cache();
    remove(path_in(*state, "compiles"));
    faults_set_locks(LOCKS_FAIL, errors[e]);
    start_without_locks(*state);
    clear_cache();
    create_once(&result);
    faults_set_locks(LOCKS_WORK, 0);
    assert_created(&result, UDM_IMAGE_NVRTC);
    assert_int_equal(result.counted.lock_failures, 1);
    assert_non_null(strstr(result.log, strerror(errors[e])));
  }
}

static void test_locks_that_everyone_gets(void **state) {
  faults_set_locks(LOCKS_FOR_EVERYONE, 0);
  start_without_locks(*state);
  faults_set_locks(LOCKS_WORK, 0);
}

/* Forks a process that compiles and, holding the key's lock, stops before it stores. */
static pid_t start_holder(void) {
  static const struct fault_plan plan = {FAULT_STOP, 0, "fsync", 1, false};
  int status = 0;
  const pid_t holder = fork_child();
  if (holder == 0) {
    faults_arm(&plan);
    create_once(&result);
    _exit(result.status == UDM_OK ? 0 : 1);
  }
  assert_int_equal(waitpid(holder, &status, WUNTRACED), holder);
  assert_true(WIFSTOPPED(status));
  return holder;
}

static void end_holder(pid_t holder, int signal_number) {
  int status = 0;
  kill(holder, signal_number);
  assert_int_equal(waitpid(holder, &status, 0), holder);
  assert_true(signal_number == SIGKILL ? WIFSIGNALED(status) : status == 0);
}

static void test_a_lock_that_is_held_for_ever(void **state) {
  (void)state;
  setenv("UDM_CACHE_LOCK_SECONDS", "1", 1);
  const pid_t holder = start_holder();
  create_once(&result);
  assert_created(&result, UDM_IMAGE_NVRTC);
  assert_int_equal(result.counted.lock_waits, 1);
  assert_int_equal(result.counted.lock_timeouts, 1);
  assert_int_equal(result.counted.publishes, 1);
  assert_non_null(strstr(result.log, "UDM_CACHE_LOCK_SECONDS"));
  create_once(&result); /* the entry was stored: the next start is warm */
  assert_created(&result, UDM_IMAGE_CACHE);
  assert_int_equal(result.counted.lock_waits, 0);
  end_holder(holder, SIGCONT); /* its late store does no harm */
  create_once(&result);
  assert_created(&result, UDM_IMAGE_CACHE);
}

static void test_no_wait_at_all(void **state) {
  (void)state;
  setenv("UDM_CACHE_LOCK_SECONDS", "0", 1);
  const pid_t holder = start_holder();
  create_once(&result);
  assert_created(&result, UDM_IMAGE_NVRTC);
  assert_int_equal(result.counted.lock_timeouts, 1);
  end_holder(holder, SIGKILL);
}

/* Once it has opened the lock file, a process sleeps only between two tries for the lock. */
static bool waits_for_lock(const struct process *process) {
  return process_has_open(process, UDM_CACHE_LOCK_FILE) && process_is_asleep(process);
}

static void start_waiter(struct process *waiter) {
  const struct timespec pause = {0, 1000000};
  const char *const arguments[] = {set_variable("CACHE_PROCESS"), "create", NULL};
  process_start(waiter, arguments);
  for (int i = 0; i < 60000 && !waits_for_lock(waiter) && !process_has_ended(waiter); ++i)
    nanosleep(&pause, NULL);
}

static void finish_waiter(struct process *waiter, char line[LINE_SIZE]) {
  const int status = process_finish(waiter, line, LINE_SIZE);
  if (status != 0) fail_msg("a waiter ended with %d: %s", status, line);
  assert_int_equal(number_in_line(line, "lock_waits"), 1);
  assert_int_equal(number_in_line(line, "lock_timeouts"), 0);
}

static void test_a_holder_that_is_killed(void **state) {
  struct process waiters[3];
  char line[LINE_SIZE];
  int64_t compiles = 0;
  const pid_t holder = start_holder();
  for (int w = 0; w < 3; ++w) start_waiter(&waiters[w]);
  end_holder(holder, SIGKILL);
  for (int w = 0; w < 3; ++w) {
    finish_waiter(&waiters[w], line);
    compiles += number_in_line(line, "compiles");
  }
  assert_int_equal(compiles, 1); /* one of them took over */
  assert_int_equal(count_compiles(*state), 2);
}

static void test_the_lock_file_removed_under_waiters(void **state) {
  struct process waiters[3];
  char line[LINE_SIZE];
  struct cache_contents contents;
  const pid_t holder = start_holder();
  for (int w = 0; w < 3; ++w) start_waiter(&waiters[w]);
  assert_int_equal(unlink(cache_file(UDM_CACHE_LOCK_FILE)), 0);
  create_once(&result); /* creates a lock file of its own */
  assert_created(&result, UDM_IMAGE_NVRTC);
  assert_int_equal(result.counted.lock_waits, 0);
  end_holder(holder, SIGCONT);
  for (int w = 0; w < 3; ++w) {
    finish_waiter(&waiters[w], line);
    assert_int_equal(number_in_line(line, "compiles"), 0);
  }
  assert_int_equal(count_compiles(*state), 2);
  look_at_cache(&contents);
  assert_int_equal(contents.ok, 1);
  assert_int_equal(contents.bad, 0);
}

static void put_folder(const char *path) { assert_int_equal(mkdir(path, 0700), 0); }
static void put_fifo(const char *path) { assert_int_equal(mkfifo(path, 0600), 0); }
static void put_link(const char *path) { assert_int_equal(symlink("victim", path), 0); }
static void put_dangling_link(const char *path) {
  assert_int_equal(symlink("nothing-there", path), 0);
}

static void test_something_else_in_the_lock_files_place(void **state) {
  static void (*const put[])(const char *) = {put_folder, put_fifo, put_link, put_dangling_link};
  struct stat status;
  (void)state;
  for (size_t i = 0; i < sizeof put / sizeof put[0]; ++i) {
    clear_cache();
    write_file(cache_file("victim"), "somebody's", 10);
    put[i](cache_file(UDM_CACHE_LOCK_FILE));
    create_once(&result);
    assert_created(&result, UDM_IMAGE_NVRTC);
    assert_int_equal(result.counted.lock_failures, 1);
    assert_int_equal(result.counted.publishes, 1);
    assert_non_null(strstr(result.log, "no lock in"));
    create_once(&result);
    assert_created(&result, UDM_IMAGE_CACHE);
    assert_int_equal(stat(cache_file("victim"), &status), 0);
    assert_int_equal(status.st_size, 10);
    assert_int_equal(access(cache_file("nothing-there"), F_OK), -1);
  }
}

/* A hard link is locked like any file, and never written to. */
static void test_a_hard_link_as_lock_file(void **state) {
  struct stat status;
  (void)state;
  write_file(cache_file("victim"), "somebody's", 10);
  assert_int_equal(link(cache_file("victim"), cache_file(UDM_CACHE_LOCK_FILE)), 0);
  create_once(&result);
  assert_created(&result, UDM_IMAGE_NVRTC);
  assert_int_equal(result.counted.lock_failures, 0);
  assert_int_equal(stat(cache_file("victim"), &status), 0);
  assert_int_equal(status.st_size, 10);
}

/* A child forked while the lock was held keeps the file open, but not the lock. */
static void test_a_forked_child_keeps_no_lock(void **state) {
  struct settings settings;
  struct cache_lock lock = UDM_CACHE_LOCK_INIT;
  struct cache_lock again = UDM_CACHE_LOCK_INIT;
  const struct cache_key key = {"sm_90", "a key text", NULL};
  int status = 0;
  (void)state;
  assert_int_equal(udm_settings_resolve(NULL, &settings, udm_thread_error()), UDM_OK);
  assert_int_equal(udm_cache_lock_key(&settings, &key, &lock), CACHE_LOCKED);
  const pid_t child = fork_child();
  if (child == 0) {
    for (;;) pause();
  }
  udm_cache_unlock(&lock);
  const enum cache_lock_outcome outcome = udm_cache_lock_key(&settings, &key, &again);
  udm_cache_unlock(&again);
  kill(child, SIGKILL);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(outcome, CACHE_LOCKED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CACHE_TEST(test_locks_that_fail),
      CACHE_TEST(test_locks_that_everyone_gets),
      CACHE_TEST(test_a_lock_that_is_held_for_ever),
      CACHE_TEST(test_no_wait_at_all),
      CACHE_TEST(test_a_holder_that_is_killed),
      CACHE_TEST(test_the_lock_file_removed_under_waiters),
      CACHE_TEST(test_something_else_in_the_lock_files_place),
      CACHE_TEST(test_a_hard_link_as_lock_file),
      CACHE_TEST(test_a_forked_child_keeps_no_lock),
  };
  use_fake_device();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
