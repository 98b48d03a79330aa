/*
 * selftest_phases.c: the phases of the self-test: see selftest.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "selftest.h"

#include <stdio.h>

#include "case_runner.h"
#include "command/interrupt.h"
#include "command/output.h"
#include "decode_case.h"

enum {
  BATCH_SIZE_CASES = 2 * (SELFTEST_LARGEST_BATCH + 1), /* with both calls */
  CONTEXT_CASES = 20, /* in a second context, then in the first again */
  LARGE_BATCH_CASES = 13,
  MISMATCHES_SHOWN = 8
};

static int64_t total_work(const struct selftest *test) {
  return test->cases + BATCH_SIZE_CASES + LARGE_BATCH_CASES + 2 * test->replays + CONTEXT_CASES +
         CONTEXT_CASES;
}

static void count_result(struct selftest *test, bool matches, const char *what,
                         const struct decode_case *c, const char *difference) {
  progress_update(&test->bar, test->cases_done + test->replays_done);
  if (matches) return;
  if (++test->mismatches > MISMATCHES_SHOWN) return;
  char description[DECODE_CASE_TEXT_SIZE];
  decode_case_describe(c, description, sizeof description);
  output_error("%s: %s (%s)", what, difference, description);
}

static bool fail(struct selftest *test, const char *reason) {
  snprintf(test->error, sizeof test->error, "%s", reason);
  return false;
}

/* False when the case could not be run. */
static bool run_case(struct selftest *test, struct case_runner *runner,
                     const struct decode_case_request *request, const char *what) {
  struct decode_case *c = NULL;
  char difference[DECODE_CASE_TEXT_SIZE] = "";
  bool matches = false;
  const udm_status status = decode_case_create(request, &c);
  if (status != UDM_OK) return fail(test, udm_status_text(status));
  const bool ran = case_runner_upload(runner, c) && case_runner_launch(runner, c) &&
                   case_runner_compare(runner, c, &matches, difference, sizeof difference);
  if (ran) {
    ++test->cases_done;
    count_result(test, matches, what, c, difference);
  }
  decode_case_destroy(c);
  return ran || fail(test, runner->error);
}

static bool run_batch_sizes(struct selftest *test, struct case_runner *runner) {
  for (int32_t i = 0; i < BATCH_SIZE_CASES && !interrupted(); ++i) {
    struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
    request.seed = (uint64_t)test->seed + (uint64_t)i;
    request.table = i % 2 == 1;
    request.batch_size = i / 2;
    request.table_elements_bound = 20000;
    if (!run_case(test, runner, &request, "every batch size")) return false;
  }
  return true;
}

/* More rows than a block has threads, more than 65535 rows, and many rows of many tiles. */
static bool run_large_batches(struct selftest *test, struct case_runner *runner) {
  static const struct {
    int32_t batch_size, max_len;
    udm_extent extent;
  } CASES[LARGE_BATCH_CASES] = {
      {257, 70, UDM_EXTENT_BATCH_MAX},  {511, 70, UDM_EXTENT_ROW},
      {512, 70, UDM_EXTENT_BATCH_MAX},  {513, 70, UDM_EXTENT_ROW},
      {513, 70, UDM_EXTENT_BATCH_MAX},  {1000, 70, UDM_EXTENT_ROW},
      {1000, 70, UDM_EXTENT_BATCH_MAX}, {4096, 20, UDM_EXTENT_ROW},
      {300, 5000, UDM_EXTENT_ROW},      {300, 5000, UDM_EXTENT_BATCH_MAX},
      {65534, 3, UDM_EXTENT_ROW},       {65535, 3, UDM_EXTENT_ROW},
      {70000, 3, UDM_EXTENT_ROW},
  };
  for (int i = 0; i < LARGE_BATCH_CASES && !interrupted(); ++i) {
    struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
    request.seed = (uint64_t)test->seed + 7000 + (uint64_t)i;
    request.table = i % 2 == 1;
    request.batch_size = CASES[i].batch_size;
    request.max_len = CASES[i].max_len;
    request.extent = (int32_t)CASES[i].extent;
    request.last_row_longest = CASES[i].extent == UDM_EXTENT_BATCH_MAX;
    if (!run_case(test, runner, &request, "large batch")) return false;
  }
  return true;
}

static bool run_random(struct selftest *test, struct case_runner *runner, int64_t count,
                       const char *what) {
  for (int64_t i = 0; i < count && !interrupted(); ++i) {
    struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
    request.seed = ((uint64_t)test->seed << 32) + (uint64_t)i;
    request.table = i % 2 == 1;
    if (!run_case(test, runner, &request, what)) return false;
  }
  return true;
}

/* Records the launch of the case into *exec. */
static bool record(struct selftest *test, struct case_runner *runner, const struct decode_case *c,
                   CUgraphExec *exec) {
  const struct cuda_driver *driver = runner->driver;
  CUgraph graph = NULL;
  CUresult result =
      driver->cuStreamBeginCapture_v2(runner->stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  if (result == CUDA_SUCCESS) {
    const bool launched = case_runner_launch(runner, c);
    result = driver->cuStreamEndCapture(runner->stream, &graph);
    if (!launched) {
      if (graph) driver->cuGraphDestroy(graph);
      return fail(test, runner->error);
    }
  }
  if (result == CUDA_SUCCESS) result = driver->cuGraphInstantiateWithFlags(exec, graph, 0);
  if (graph) driver->cuGraphDestroy(graph);
  return result == CUDA_SUCCESS || fail(test, cuda_driver_error(driver, result));
}

static bool replay(struct selftest *test, struct case_runner *runner, struct decode_case *c,
                   CUgraphExec exec) {
  char difference[DECODE_CASE_TEXT_SIZE] = "";
  for (int64_t i = 0; i < test->replays && !interrupted(); ++i) {
    bool matches = false;
    if (i > 0 && decode_case_next_step(c) != UDM_OK) return fail(test, udm_last_error());
    if (!case_runner_upload_inputs(runner, c)) return fail(test, runner->error);
    const CUresult result = runner->driver->cuGraphLaunch(exec, runner->stream);
    if (result != CUDA_SUCCESS) return fail(test, cuda_driver_error(runner->driver, result));
    if (!case_runner_compare(runner, c, &matches, difference, sizeof difference)) {
      return fail(test, runner->error);
    }
    ++test->replays_done;
    count_result(test, matches, "replay of a graph", c, difference);
  }
  return true;
}

/* One launch recorded, then replayed with new lengths and rows in the same tensors. */
static bool run_graph(struct selftest *test, struct case_runner *runner, bool table) {
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.seed = (uint64_t)test->seed;
  request.table = table;
  request.batch_size = 61;
  request.max_len = 700;
  request.num_backends = UDM_MAX_BACKENDS;
  request.real_page_size = 64;
  struct decode_case *c = NULL;
  CUgraphExec exec = NULL;
  const udm_status status = decode_case_create(&request, &c);
  if (status != UDM_OK) return fail(test, udm_status_text(status));
  bool ran = case_runner_upload(runner, c) || fail(test, runner->error);
  ran = ran && record(test, runner, c, &exec) && replay(test, runner, c, exec);
  if (exec) runner->driver->cuGraphExecDestroy(exec);
  decode_case_destroy(c);
  return ran;
}

static bool run_in_second_context(struct selftest *test, CUcontext context) {
  const struct cuda_driver *driver = &test->session->driver;
  udm_context *udm = NULL;
  CUstream stream = NULL;
  bool ran = false;
  if (udm_create(test->options, &udm) != UDM_OK) {
    fail(test, udm_last_error());
  } else if (driver->cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS) {
    fail(test, "cuStreamCreate failed in a second context");
  } else {
    struct case_runner runner = CASE_RUNNER_INIT(driver, udm, stream);
    ran = run_random(test, &runner, CONTEXT_CASES, "second context");
    case_runner_release(&runner);
  }
  if (stream) driver->cuStreamDestroy_v2(stream);
  udm_destroy(udm);
  driver->cuCtxDestroy_v2(context); /* current: the thread has none afterwards */
  return ran;
}

/* A second context, then the first one again: neither may know of the other. */
static bool run_two_contexts(struct selftest *test, struct case_runner *runner) {
  const struct cuda_driver *driver = &test->session->driver;
  CUcontext second = NULL;
  if (interrupted()) return true;
  CUresult result = driver->cuCtxCreate_v2(&second, 0, test->session->device);
  if (result != CUDA_SUCCESS) return fail(test, cuda_driver_error(driver, result));
  const bool ran = run_in_second_context(test, second);
  result = driver->cuCtxSetCurrent(test->session->context);
  if (result != CUDA_SUCCESS) return fail(test, cuda_driver_error(driver, result));
  return ran && run_random(test, runner, CONTEXT_CASES, "first context again");
}

bool selftest_run(struct selftest *test) {
  struct case_runner runner =
      CASE_RUNNER_INIT(&test->session->driver, test->session->udm, test->session->stream);
  progress_start(&test->bar, "selftest", total_work(test));
  const bool ran = run_batch_sizes(test, &runner) && run_large_batches(test, &runner) &&
                   run_random(test, &runner, test->cases, "random case") &&
                   run_graph(test, &runner, false) && run_graph(test, &runner, true) &&
                   run_two_contexts(test, &runner);
  progress_finish(&test->bar);
  test->interrupted = interrupted();
  case_runner_release(&runner);
  return ran;
}
