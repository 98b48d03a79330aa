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
  /* decode mode with the seven outputs by both calls, then every mode with all outputs */
  CASES_OF_BATCH_SIZE = 2 + SELFTEST_MODES,
  BATCH_SIZE_CASES = CASES_OF_BATCH_SIZE * (SELFTEST_LARGEST_BATCH + 1),
  CONTEXT_CASES = 20, /* in a second context, then in the first again */
  LARGE_BATCHES = 13,
  LARGE_BATCH_CASES = 2 * LARGE_BATCHES, /* each with the seven outputs, then in a mode */
  MISMATCHES_SHOWN = 8
};

static int64_t total_work(const struct selftest *test) {
  return test->cases + BATCH_SIZE_CASES + LARGE_BATCH_CASES + SELFTEST_GRAPHS * test->replays +
         CONTEXT_CASES + CONTEXT_CASES;
}

static void count_result(struct selftest *test, bool matches, const char *what,
                         const struct decode_case *c, const char *difference) {
  struct selftest_mode *mode = &test->modes[c->args.mode];
  progress_update(&test->bar, test->cases_done + test->replays_done);
  ++mode->launches;
  if (matches) return;
  ++mode->mismatches;
  if (++test->mismatches > MISMATCHES_SHOWN) return;
  char description[DECODE_CASE_TEXT_SIZE];
  decode_case_describe(c, description, sizeof description);
  output_error("%s: %s (%s)", what, difference, description);
}

static bool fail(struct selftest *test, const char *reason) {
  snprintf(test->error, sizeof test->error, "%s", reason);
  return false;
}

/* Returns false if the case could not run. */
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
    const int32_t mode = i % CASES_OF_BATCH_SIZE - 2;
    request.seed = (uint64_t)test->seed + (uint64_t)i;
    request.table = i % 2 == 1;
    if (mode >= 0) request.mode = mode; /* a udm_mode */
    request.batch_size = i / CASES_OF_BATCH_SIZE;
    request.table_elements_bound = 20000;
    if (!run_case(test, runner, &request, "every batch size")) return false;
  }
  return true;
}

/* Batches of more rows than a block has threads, of more than 65535 rows, and of long rows. */
static bool run_large_batches(struct selftest *test, struct case_runner *runner) {
  static const struct {
    int32_t batch_size, max_len;
    udm_extent extent;
  } batches[LARGE_BATCHES] = {
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
    const int batch = i / 2;
    request.seed = (uint64_t)test->seed + 7000 + (uint64_t)i;
    request.table = batch % 2 == 1;
    request.batch_size = batches[batch].batch_size;
    request.max_len = batches[batch].max_len;
    request.extent = (int32_t)batches[batch].extent;
    request.last_row_longest = batches[batch].extent == UDM_EXTENT_BATCH_MAX;
    if (i % 2 == 1) {
      request.mode = batch % SELFTEST_MODES;  /* a udm_mode */
      request.tokens_per_request = batch % 4; /* 0: ragged */
      request.num_backends = 2;
    }
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
    if (i / 2 % 4 > 0) request.mode = (int32_t)(i / 2 % 4) - 1; /* a udm_mode */
    if (!run_case(test, runner, &request, what)) return false;
  }
  return true;
}

/* The launches of a graph, and the tensors of each. */
struct recording {
  int count;
  struct case_runner runners[SELFTEST_MODES];
  struct decode_case *cases[SELFTEST_MODES];
  CUgraphExec exec;
};

static bool add_launch(struct selftest *test, const struct case_runner *runner,
                       const struct decode_case_request *request, struct recording *recording) {
  const int i = recording->count;
  const udm_status status = decode_case_create(request, &recording->cases[i]);
  if (status != UDM_OK) return fail(test, udm_status_text(status));
  const struct case_runner empty = CASE_RUNNER_INIT(runner->driver, runner->udm, runner->stream);
  recording->runners[i] = empty;
  ++recording->count;
  return case_runner_upload(&recording->runners[i], recording->cases[i]) ||
         fail(test, recording->runners[i].error);
}

static void release(struct recording *recording) {
  if (recording->exec) recording->runners[0].driver->cuGraphExecDestroy(recording->exec);
  for (int i = 0; i < recording->count; ++i) {
    case_runner_release(&recording->runners[i]);
    decode_case_destroy(recording->cases[i]);
  }
}

/* Records the launches into recording->exec. */
static bool record(struct selftest *test, struct recording *recording) {
  const struct cuda_driver *driver = recording->runners[0].driver;
  const CUstream stream = recording->runners[0].stream;
  CUgraph graph = NULL;
  bool launched = true;
  CUresult result = driver->cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  if (result == CUDA_SUCCESS) {
    for (int i = 0; i < recording->count && launched; ++i) {
      launched = case_runner_launch(&recording->runners[i], recording->cases[i]) ||
                 fail(test, recording->runners[i].error);
    }
    result = driver->cuStreamEndCapture(stream, &graph);
  }
  if (launched && result == CUDA_SUCCESS) {
    result = driver->cuGraphInstantiateWithFlags(&recording->exec, graph, 0);
  }
  if (graph) driver->cuGraphDestroy(graph);
  if (!launched) return false;
  return result == CUDA_SUCCESS || fail(test, cuda_driver_error(driver, result));
}

/* Compares a launch of the replayed graph, and makes its next step. */
static bool finish_step(struct selftest *test, struct case_runner *runner, struct decode_case *c) {
  char difference[DECODE_CASE_TEXT_SIZE] = "";
  bool matches = false;
  if (!case_runner_compare(runner, c, &matches, difference, sizeof difference)) {
    return fail(test, runner->error);
  }
  count_result(test, matches, "replay of a graph", c, difference);
  if (decode_case_next_step(c) != UDM_OK) return fail(test, udm_last_error());
  return case_runner_upload_inputs(runner, c) || fail(test, runner->error);
}

static bool replay(struct selftest *test, struct recording *recording) {
  const struct case_runner *first = &recording->runners[0];
  for (int64_t i = 0; i < test->replays && !interrupted(); ++i) {
    const CUresult result = first->driver->cuGraphLaunch(recording->exec, first->stream);
    if (result != CUDA_SUCCESS) return fail(test, cuda_driver_error(first->driver, result));
    for (int l = 0; l < recording->count; ++l) {
      if (!finish_step(test, &recording->runners[l], recording->cases[l])) return false;
    }
    ++test->replays_done;
  }
  return true;
}

/* Records one launch, then replays it with new lengths and rows in the same tensors. */
static bool run_graph(struct selftest *test, const struct case_runner *runner, bool table) {
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  struct recording recording = {.count = 0};
  request.seed = (uint64_t)test->seed;
  request.table = table;
  request.batch_size = 61;
  request.max_len = 700;
  request.num_backends = UDM_MAX_BACKENDS;
  request.real_page_size = 64;
  const bool ran = add_launch(test, runner, &request, &recording) && record(test, &recording) &&
                   replay(test, &recording);
  release(&recording);
  return ran;
}

/* The same for a step of all three phases: three launches in one graph. */
static bool run_graph_of_a_step(struct selftest *test, const struct case_runner *runner) {
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  struct recording recording = {.count = 0};
  bool ran = true;
  request.batch_size = 61;
  request.max_len = 700;
  request.real_page_size = 64;
  for (int32_t mode = 0; mode < SELFTEST_MODES && ran; ++mode) {
    request.seed = (uint64_t)test->seed + (uint64_t)mode;
    request.mode = mode;
    request.num_backends = mode == UDM_MODE_DECODE ? 3 : 1;
    ran = add_launch(test, runner, &request, &recording);
  }
  ran = ran && record(test, &recording) && replay(test, &recording);
  release(&recording);
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
  driver->cuCtxDestroy_v2(context); /* it is current: the thread has none afterwards */
  return ran;
}

/* Runs in a second context, then in the first one again: neither may affect the other. */
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
                   run_graph_of_a_step(test, &runner) && run_two_contexts(test, &runner);
  progress_finish(&test->bar);
  test->interrupted = interrupted();
  case_runner_release(&runner);
  return ran;
}
