/*
 * test_cache_lock_threads.c: many threads of one process use the cache at once: a cold
 * cache, a compile that fails, and all functions together. ThreadSanitizer watches.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cache_fixture.h"
#include "case_runner.h"
#include "gpu_session.h"
#include "temporary_folder.h"

enum { THREADS = 32 };

struct worker {
  const struct gpu_session *session;
  CUcontext context;
  pthread_barrier_t *together;
  uint64_t seed;
  const char *problem;
};

static const char *launch(const struct worker *worker, udm_context *udm, CUstream stream) {
  char text[DECODE_CASE_TEXT_SIZE];
  bool matches = false;
  const char *problem = NULL;
  struct decode_case *c = NULL;
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  struct case_runner runner = CASE_RUNNER_INIT(&worker->session->driver, udm, stream);
  request.seed = worker->seed;
  request.batch_size = 3;
  if (decode_case_create(&request, &c) != UDM_OK) return "no decode case";
  if (!case_runner_upload(&runner, c) || !case_runner_launch(&runner, c) ||
      !case_runner_compare(&runner, c, &matches, text, sizeof text)) {
    problem = "the launch failed";
  } else if (!matches) {
    problem = "wrong outputs";
  }
  case_runner_release(&runner);
  decode_case_destroy(c);
  return problem;
}

static void *create_and_launch(void *user_data) {
  struct worker *worker = user_data;
  const struct cuda_driver *driver = &worker->session->driver;
  udm_context *udm = NULL;
  CUstream stream = NULL;
  driver->cuCtxSetCurrent(worker->context);
  pthread_barrier_wait(worker->together);
  if (udm_create(NULL, &udm) != UDM_OK) {
    worker->problem = strdup(udm_last_error()); /* the last error is per thread */
  } else if (driver->cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) != 0) {
    worker->problem = "no stream";
  } else {
    worker->problem = launch(worker, udm, stream);
  }
  if (stream) driver->cuStreamDestroy_v2(stream);
  udm_destroy(udm);
  return NULL;
}

static void run_threads(const struct gpu_session *session, void *(*work)(void *worker)) {
  static struct worker workers[THREADS];
  pthread_t threads[THREADS];
  pthread_barrier_t together;
  assert_int_equal(pthread_barrier_init(&together, NULL, THREADS), 0);
  for (int t = 0; t < THREADS; ++t) {
    workers[t] = (struct worker){session, session->context, &together, (uint64_t)t + 1, NULL};
    assert_int_equal(pthread_create(&threads[t], NULL, work, &workers[t]), 0);
  }
  for (int t = 0; t < THREADS; ++t) pthread_join(threads[t], NULL);
  pthread_barrier_destroy(&together);
  for (int t = 0; t < THREADS; ++t) {
    if (workers[t].problem) fail_msg("thread %d: %s", t, workers[t].problem);
  }
}

static void test_threads_that_create_and_launch(void **state) {
  char error[9216];
  struct gpu_session session;
  udm_cache_counters before;
  udm_cache_counters counted;
  if (!gpu_session_open(&session, NULL, 0, error, sizeof error)) fail_msg("%s", error);
  clear_cache();
  remove(path_in(*state, "compiles"));
  setenv("UDM_FAKE_NVRTC_DELAY_MS", "100", 1);
  take_counters(&before);
  run_threads(&session, create_and_launch);
  take_counters(&counted);
  subtract_counters(&counted, &before);
  assert_int_equal(count_compiles(*state), 1);
  assert_int_equal(counted.compiles, 1);
  assert_int_equal(counted.publishes, 1);
  assert_int_equal(counted.hits_writable, THREADS - 1);
  assert_int_equal(counted.lock_timeouts + counted.lock_failures, 0);
  gpu_session_close(&session);
}

static void *create_and_fail(void *user_data) {
  struct worker *worker = user_data;
  udm_context *udm = NULL;
  worker->session->driver.cuCtxSetCurrent(worker->context);
  pthread_barrier_wait(worker->together);
  if (udm_create(NULL, &udm) != UDM_ERROR_NO_IMAGE || udm) {
    worker->problem = "it did not fail as it should";
  } else if (!strstr(udm_last_error(), "a fault that a test asked for")) {
    worker->problem = "the error does not tell the compile log";
  }
  udm_destroy(udm);
  return NULL;
}

static void test_threads_whose_compile_is_refused(void **state) {
  char error[9216];
  struct gpu_session session;
  udm_cache_counters before;
  udm_cache_counters counted;
  (void)state;
  if (!gpu_session_open(&session, NULL, 0, error, sizeof error)) fail_msg("%s", error);
  clear_cache();
  setenv("UDM_FAKE_NVRTC_VERSION", "12.5",
         1); /* no other test's failed compile is remembered for it */
  setenv("UDM_FAKE_NVRTC_FAIL", "nvrtcCompileProgram:6", 1);
  forbid_ptx();
  take_counters(&before);
  run_threads(&session, create_and_fail);
  take_counters(&counted);
  subtract_counters(&counted, &before);
  assert_int_equal(counted.compile_failures, 2); /* the cubin, the PTX */
  assert_int_equal(counted.remembered_failures, 2 * (THREADS - 1));
  assert_int_equal(counted.compiles + counted.lock_timeouts, 0);
  gpu_session_close(&session);
}

static int look_at_entry(void *user_data, const udm_cache_entry_info *entry) {
  struct worker *worker = user_data;
  if (entry->state != UDM_CACHE_ENTRY_OK) worker->problem = "a bad entry";
  return 0;
}

/* Calls each function that uses the cache, a few times. */
static void *use_cache(void *user_data) {
  static const int32_t archs[] = {75, 80, 86, 89, 90, 100};
  struct worker *worker = user_data;
  udm_context *udm = NULL;
  udm_cache_counters counters;
  worker->session->driver.cuCtxSetCurrent(worker->context);
  pthread_barrier_wait(worker->together);
  for (uint64_t i = 0; i < 4 && !worker->problem; ++i) {
    const int32_t arch = archs[(worker->seed + i) % (sizeof archs / sizeof archs[0])];
    udm_status status = UDM_OK;
    switch ((worker->seed + i) % 4) {
      case 0:
        status = udm_create(NULL, &udm);
        udm_destroy(udm);
        udm = NULL;
        break;
      case 1:
        status = udm_prewarm(NULL, arch, UDM_PREWARM_FORCE, NULL);
        break;
      case 2:
        status = udm_cache_enumerate(NULL, look_at_entry, worker);
        break;
      default:
        status = udm_cache_prune(NULL, NULL, NULL, NULL, NULL);
        take_counters(&counters);
        break;
    }
    if (status != UDM_OK) worker->problem = strdup(udm_last_error());
  }
  return NULL;
}

static void test_threads_that_do_everything_at_once(void **state) {
  char error[9216];
  struct gpu_session session;
  struct cache_contents contents;
  struct stat status;
  char path[UDM_PATH_SIZE];
  char limit[32];
  (void)state;
  if (!gpu_session_open(&session, NULL, 0, error, sizeof error)) fail_msg("%s", error);
  prewarm(path);
  assert_int_equal(stat(path, &status), 0);
  snprintf(limit, sizeof limit, "%lld", 4 * (long long)status.st_size);
  setenv("UDM_CACHE_MAX_BYTES", limit, 1);
  run_threads(&session, use_cache);
  look_at_cache(&contents);
  assert_int_equal(contents.bad, 0);
  assert_int_equal(count_files(".tmp"), 0);
  gpu_session_close(&session);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CACHE_TEST(test_threads_that_create_and_launch),
      CACHE_TEST(test_threads_whose_compile_is_refused),
      CACHE_TEST(test_threads_that_do_everything_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
