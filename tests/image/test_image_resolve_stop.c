/*
 * test_image_resolve_stop.c: the host asks udm_create() and udm_prewarm() to stop, during a compile
 * and during the wait for another process's. Every delay is an hour: if the call did not stop, the
 * test would not end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "expectation.h"
#include "temporary_folder.h"

static const struct machine plain = {
    .driver_version = "13000", .nvrtc = "13.0", .nvrtc_archs = "80,90"};

/* The host's answers. */
struct host {
  int asked[2];  /* by activity */
  int continues; /* so many answers are no, then yes */
  bool said_yes; /* and nobody may ask again */
  pthread_t thread;
};

static int should_stop(void *user_data, udm_activity activity) {
  struct host *host = user_data;
  assert_false(host->said_yes);
  assert_true(pthread_equal(host->thread, pthread_self()));
  assert_true(activity == UDM_ACTIVITY_WAITING || activity == UDM_ACTIVITY_COMPILING);
  ++host->asked[activity];
  if (host->continues-- > 0) return 0;
  host->said_yes = true;
  return 1;
}

static void use_host(struct image_fixture *l, struct host *host, int continues) {
  *host = (struct host){{0, 0}, continues, false, pthread_self()};
  l->options.should_stop = should_stop;
  l->options.should_stop_user_data = host;
}

static void assert_stopped(udm_status status, const struct host *host, const char *what) {
  assert_int_equal(status, UDM_ERROR_CANCELLED);
  assert_true(host->said_yes);
  assert_non_null(strstr(udm_last_error(), what));
  assert_non_null(strstr(udm_last_error(), "should_stop"));
}

/* Nothing but the lock file is left, and the next call starts anew. */
static void assert_nothing_is_left(struct image_fixture *l) {
  udm_context_info info;
  DIR *folder = opendir(l->folder);
  assert_non_null(folder);
  for (const struct dirent *entry; (entry = readdir(folder));) {
    if (entry->d_name[0] != '.' || strstr(entry->d_name, ".tmp")) fail_msg("%s", entry->d_name);
  }
  closedir(folder);
  unsetenv("UDM_FAKE_NVRTC_DELAY_MS");
  l->options.should_stop = NULL;
  if (create_once(l, 90, &info) != UDM_OK) fail_msg("%s", udm_last_error());
  assert_int_equal(info.image_source, UDM_IMAGE_NVRTC);
}

static void test_a_compile_stops(void **state) {
  struct image_fixture *l = *state;
  struct host host;
  udm_context_info info;
  udm_cache_counters before = {.struct_size = sizeof before};
  udm_cache_counters after = {.struct_size = sizeof after};
  machine_set(l, &plain);
  setenv("UDM_FAKE_NVRTC_DELAY_MS", "3600000", 1);
  udm_get_cache_counters(&before);
  for (int continues = 0; continues < 4; ++continues) {
    use_host(l, &host, continues);
    assert_stopped(create_once(l, 90, &info), &host, "the compile");
    assert_int_equal(host.asked[UDM_ACTIVITY_COMPILING], continues + 1);
    assert_int_equal(l->nvrtc_calls("nvrtcCompileProgram"), continues > 0);
    use_host(l, &host, continues);
    assert_stopped(udm_prewarm(&l->options, 90, 0, NULL), &host, "the compile");
  }
  udm_get_cache_counters(&after);
  assert_int_equal(after.compile_failures, before.compile_failures);
  assert_nothing_is_left(l);
}

/* An older NVRTC does not ask: what it has begun, it ends. */
static void test_an_older_nvrtc_is_asked_for_once(void **state) {
  struct image_fixture *l = *state;
  struct host host;
  udm_context_info info;
  machine_set(l, &plain);
  l->options.nvrtc_library = getenv("LEAST_NVRTC");
  use_host(l, &host, 1);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(host.asked[UDM_ACTIVITY_COMPILING], 1);
  cache_empty(l);
  use_host(l, &host, 0);
  assert_stopped(create_once(l, 90, &info), &host, "the compile");
}

/* Starts a process that compiles for an hour, with the lock held. */
static pid_t start_holder(struct image_fixture *l) {
  const struct timespec pause = {0, 1000000};
  const char *log = path_in(l->folder, ".compiles");
  setenv("UDM_FAKE_NVRTC_LOG", log, 1);
  setenv("UDM_FAKE_NVRTC_DELAY_MS", "3600000", 1);
  const pid_t child = fork();
  if (child == 0) {
    udm_prewarm(&l->options, 90, 0, NULL);
    _exit(0);
  }
  assert_true(child > 0);
  while (access(log, F_OK) != 0) nanosleep(&pause, NULL);
  unsetenv("UDM_FAKE_NVRTC_LOG");
  return child;
}

static void test_a_wait_stops(void **state) {
  struct image_fixture *l = *state;
  struct host host;
  udm_context_info info;
  int status = 0;
  machine_set(l, &plain);
  setenv("UDM_CACHE_LOCK_SECONDS", "3600", 1);
  const pid_t holder = start_holder(l);
  for (int continues = 0; continues < 8; continues += 7) {
    use_host(l, &host, continues);
    assert_stopped(create_once(l, 90, &info), &host, "the wait");
    assert_int_equal(host.asked[UDM_ACTIVITY_WAITING], continues + 1);
    assert_int_equal(host.asked[UDM_ACTIVITY_COMPILING], 0);
    use_host(l, &host, continues);
    assert_stopped(udm_prewarm(&l->options, 90, 0, NULL), &host, "the wait");
  }
  assert_int_equal(kill(holder, SIGKILL), 0);
  assert_int_equal(waitpid(holder, &status, 0), holder);
  unsetenv("UDM_CACHE_LOCK_SECONDS");
  assert_nothing_is_left(l);
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, image_fixture_open, image_fixture_close)
  const struct CMUnitTest tests[] = {
      TEST(test_a_compile_stops),
      TEST(test_an_older_nvrtc_is_asked_for_once),
      TEST(test_a_wait_stops),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
