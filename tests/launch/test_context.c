/*
 * test_context.c: several CUDA contexts, several threads, and handles used in the wrong context.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>

#include "gpu_fixture.h"

/* A new context with the library loaded into it, current on this thread. */
struct second_context {
  CUcontext context;
  CUstream stream;
  udm_context *udm;
};

static struct second_context open_second_context(const struct gpu_session *session) {
  const struct cuda_driver *driver = &session->driver;
  struct second_context second = {NULL, NULL, NULL};
  ASSERT_CUDA(driver, cuCtxCreate_v2(&second.context, 0, session->device));
  ASSERT_CUDA(driver, cuStreamCreate(&second.stream, CU_STREAM_NON_BLOCKING));
  if (udm_create(NULL, &second.udm) != UDM_OK) fail_msg("%s", udm_last_error());
  return second;
}

static void close_second_context(const struct gpu_session *session, struct second_context *second) {
  const struct cuda_driver *driver = &session->driver;
  udm_destroy(second->udm);
  ASSERT_CUDA(driver, cuCtxDestroy_v2(second->context));
  ASSERT_CUDA(driver, cuCtxSetCurrent(session->context));
}

static void test_two_contexts_work_in_turns(void **state) {
  const struct gpu_session *session = *state;
  const struct cuda_driver *driver = &session->driver;
  struct second_context second = open_second_context(session);
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  for (request.seed = 1; request.seed <= 6; ++request.seed) {
    const bool first = request.seed % 2 == 0;
    struct case_runner runner = CASE_RUNNER_INIT(driver, first ? session->udm : second.udm,
                                                 first ? session->stream : second.stream);
    ASSERT_CUDA(driver, cuCtxSetCurrent(first ? session->context : second.context));
    gpu_fixture_check_request(&runner, &request);
    case_runner_release(&runner);
  }
  ASSERT_CUDA(driver, cuCtxSetCurrent(second.context));
  close_second_context(session, &second);
}

/* An illegal launch fails, and the message names the rule. */
static void test_a_launch_outside_its_context_is_rejected(void **state) {
  const struct gpu_session *session = *state;
  const struct cuda_driver *driver = &session->driver;
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.batch_size = 3;
  struct decode_case *c = gpu_fixture_create_case(&request);
  struct case_runner runner = CASE_RUNNER_INIT(driver, session->udm, session->stream);
  gpu_fixture_check_case(&runner, c);
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  decode_case_bind(c, runner.outputs.memory, runner.inputs.memory, &args);

  struct second_context second = open_second_context(session);
  ASSERT_CUDA(driver, cuCtxSetCurrent(session->context));
  assert_int_equal(udm_decode_metadata_direct(session->udm, &args, second.stream),
                   UDM_ERROR_DRIVER);
  assert_non_null(strstr(udm_last_error(), "cuLaunchKernel"));
  assert_non_null(strstr(udm_last_error(), "stream must be of that context"));
  gpu_fixture_check_outputs(&runner, c);
  case_runner_release(&runner);
  decode_case_destroy(c);
  ASSERT_CUDA(driver, cuCtxSetCurrent(second.context));
  close_second_context(session, &second);
}

static void test_create_needs_a_current_context(void **state) {
  const struct gpu_session *session = *state;
  const struct cuda_driver *driver = &session->driver;
  udm_context *udm = (udm_context *)(void *)&udm;
  ASSERT_CUDA(driver, cuCtxSetCurrent(NULL));
  assert_int_equal(udm_create(NULL, &udm), UDM_ERROR_NO_CURRENT_CONTEXT);
  assert_null(udm);
  assert_non_null(strstr(udm_last_error(), "cuCtxSetCurrent"));
  ASSERT_CUDA(driver, cuCtxSetCurrent(session->context));
}

static void test_destroy_works_from_any_thread_state(void **state) {
  const struct gpu_session *session = *state;
  const struct cuda_driver *driver = &session->driver;
  CUcontext current = NULL;
  udm_context *udm = NULL;
  assert_int_equal(udm_create(NULL, &udm), UDM_OK);
  ASSERT_CUDA(driver, cuCtxSetCurrent(NULL));
  udm_destroy(udm);
  ASSERT_CUDA(driver, cuCtxGetCurrent(&current));
  assert_null(current);
  udm_destroy(NULL);
  ASSERT_CUDA(driver, cuCtxSetCurrent(session->context));
}

/* The work of one thread. Only the main thread may use cmocka's assertions. */
struct worker {
  const struct gpu_session *session;
  uint64_t seed;
  bool launched;
  bool matches;
  char text[DECODE_CASE_TEXT_SIZE];
};

static void run_cases(struct worker *w, struct case_runner *runner) {
  enum { CASES = 6 };
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.batch_size_bound = 40;
  w->matches = true;
  for (uint64_t i = 0; i < CASES && w->matches; ++i) {
    struct decode_case *c = NULL;
    request.seed = w->seed + i;
    request.table = i % 2 == 1;
    w->launched = decode_case_create(&request, &c) == UDM_OK && case_runner_upload(runner, c) &&
                  case_runner_launch(runner, c) &&
                  case_runner_compare(runner, c, &w->matches, w->text, sizeof w->text);
    decode_case_destroy(c);
    if (!w->launched) return;
  }
}

static void *work(void *argument) {
  struct worker *w = argument;
  const struct cuda_driver *driver = &w->session->driver;
  CUstream stream = NULL;
  if (driver->cuCtxSetCurrent(w->session->context) != CUDA_SUCCESS) return NULL;
  if (driver->cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS) return NULL;
  struct case_runner runner = CASE_RUNNER_INIT(driver, w->session->udm, stream);
  run_cases(w, &runner);
  if (!w->launched) snprintf(w->text, sizeof w->text, "%.500s", runner.error);
  case_runner_release(&runner);
  driver->cuStreamDestroy_v2(stream);
  return NULL;
}

static void test_threads_share_one_handle(void **state) {
  enum { THREADS = 4 };
  pthread_t threads[THREADS];
  struct worker workers[THREADS];
  memset(workers, 0, sizeof workers);
  for (uint64_t t = 0; t < THREADS; ++t) {
    workers[t].session = *state;
    workers[t].seed = 100 * (t + 1);
    assert_int_equal(pthread_create(&threads[t], NULL, work, &workers[t]), 0);
  }
  for (int t = 0; t < THREADS; ++t) assert_int_equal(pthread_join(threads[t], NULL), 0);
  for (int t = 0; t < THREADS; ++t) {
    if (!workers[t].launched || !workers[t].matches) fail_msg("thread %d: %s", t, workers[t].text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_two_contexts_work_in_turns),
      cmocka_unit_test(test_a_launch_outside_its_context_is_rejected),
      cmocka_unit_test(test_create_needs_a_current_context),
      cmocka_unit_test(test_destroy_works_from_any_thread_state),
      cmocka_unit_test(test_threads_share_one_handle),
  };
  gpu_fixture_skip_if_impossible();
  return cmocka_run_group_tests_name("contexts and threads", tests, gpu_fixture_open,
                                     gpu_fixture_close);
}
