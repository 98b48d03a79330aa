/*
 * test_launch_capture.c: a launch recorded in a CUDA graph is right on every replay, with the
 * lengths that the tensors hold then. UDM_TEST_REPLAYS sets the number of replays.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "gpu_fixture.h"

/* Captures launches into one graph, in the strictest mode: any illegal call invalidates it. */
static CUgraphExec record_all(struct case_runner *runners, struct decode_case *const *cases,
                              int count) {
  const struct cuda_driver *driver = runners->driver;
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  ASSERT_CUDA(driver, cuStreamBeginCapture_v2(runners->stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  for (int i = 0; i < count; ++i) {
    if (!case_runner_launch(&runners[i], cases[i])) fail_msg("%s", runners[i].error);
  }
  ASSERT_CUDA(driver, cuStreamEndCapture(runners->stream, &graph));
  ASSERT_CUDA(driver, cuGraphInstantiateWithFlags(&exec, graph, 0));
  ASSERT_CUDA(driver, cuGraphDestroy(graph));
  return exec;
}

static CUgraphExec record(struct case_runner *runner, struct decode_case *c) {
  return record_all(runner, &c, 1);
}

static void replay(const struct gpu_session *session, const struct decode_case_request *request,
                   uint64_t replays) {
  const struct cuda_driver *driver = &session->driver;
  struct case_runner runner = CASE_RUNNER_INIT(driver, session->udm, session->stream);
  struct decode_case *c = gpu_fixture_create_case(request);
  if (!case_runner_upload(&runner, c)) fail_msg("%s", runner.error);
  CUgraphExec exec = record(&runner, c);
  for (uint64_t i = 0; i < replays; ++i) {
    ASSERT_CUDA(driver, cuGraphLaunch(exec, session->stream));
    gpu_fixture_check_outputs(&runner, c);
    assert_int_equal(decode_case_next_step(c), UDM_OK);
    if (!case_runner_upload_inputs(&runner, c)) fail_msg("%s", runner.error);
  }
  ASSERT_CUDA(driver, cuGraphExecDestroy(exec));
  case_runner_release(&runner);
  decode_case_destroy(c);
}

static void replay_with_changing_lengths(const struct gpu_session *session, bool table) {
  const uint64_t replays = gpu_fixture_number("UDM_TEST_REPLAYS", 1000);
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.table = table;
  request.batch_size = 24;
  request.max_len = 3000;
  for (int32_t extent = 0; extent <= 1; ++extent) {
    request.extent = extent;
    request.seed = 50 + (uint64_t)extent;
    replay(session, &request, (replays + 1) / 2);
  }
}

static void test_direct_launch_replays_with_changing_lengths(void **state) {
  replay_with_changing_lengths(*state, false);
}

static void test_table_launch_replays_with_changing_lengths(void **state) {
  replay_with_changing_lengths(*state, true);
}

enum { PHASES = 3 };

/* Replays one graph of three phases: N drafts, a verify and an extend. */
static void replay_iteration(const struct gpu_session *session, uint64_t seed, uint64_t replays) {
  const struct cuda_driver *driver = &session->driver;
  struct case_runner runners[PHASES];
  struct decode_case *cases[PHASES];
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.max_len = 200;
  for (int phase = 0; phase < PHASES; ++phase) {
    const struct case_runner empty = CASE_RUNNER_INIT(driver, session->udm, session->stream);
    request.seed = 10 * seed + (uint64_t)phase;
    request.table = request.seed % 4 == 3;
    request.batch_size = 11 + (int32_t)seed;
    request.mode = phase; /* a udm_mode */
    request.num_backends = phase == UDM_MODE_DECODE ? 3 : 1;
    runners[phase] = empty;
    cases[phase] = gpu_fixture_create_case(&request);
    if (!case_runner_upload(&runners[phase], cases[phase])) fail_msg("%s", runners[phase].error);
  }
  CUgraphExec exec = record_all(runners, cases, PHASES);
  for (uint64_t i = 0; i < replays; ++i) {
    ASSERT_CUDA(driver, cuGraphLaunch(exec, session->stream));
    for (int phase = 0; phase < PHASES; ++phase) {
      gpu_fixture_check_outputs(&runners[phase], cases[phase]);
      assert_int_equal(decode_case_next_step(cases[phase]), UDM_OK);
      if (!case_runner_upload_inputs(&runners[phase], cases[phase])) {
        fail_msg("%s", runners[phase].error);
      }
    }
  }
  ASSERT_CUDA(driver, cuGraphExecDestroy(exec));
  for (int phase = 0; phase < PHASES; ++phase) {
    case_runner_release(&runners[phase]);
    decode_case_destroy(cases[phase]);
  }
}

static void test_an_iteration_replays_with_changing_lengths(void **state) {
  enum { GRAPHS = 10 };
  const uint64_t replays = gpu_fixture_number("UDM_TEST_REPLAYS", 1000);
  for (uint64_t seed = 0; seed < GRAPHS; ++seed) {
    replay_iteration(*state, seed, (replays + GRAPHS - 1) / GRAPHS);
  }
}

/* Like graph runners: one graph per padded batch size. */
static void test_several_graphs_live_side_by_side(void **state) {
  const struct gpu_session *session = *state;
  const struct cuda_driver *driver = &session->driver;
  enum { GRAPHS = 6 };
  static const int32_t batch_sizes[GRAPHS] = {0, 1, 2, 4, 8, 16};
  struct case_runner runners[GRAPHS];
  struct decode_case *cases[GRAPHS];
  CUgraphExec execs[GRAPHS];
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.max_len = 100;
  for (size_t g = 0; g < GRAPHS; ++g) {
    request.seed = g;
    request.batch_size = batch_sizes[g];
    const struct case_runner empty = CASE_RUNNER_INIT(driver, session->udm, session->stream);
    runners[g] = empty;
    cases[g] = gpu_fixture_create_case(&request);
    if (!case_runner_upload(&runners[g], cases[g])) fail_msg("%s", runners[g].error);
    execs[g] = record(&runners[g], cases[g]);
  }
  for (size_t g = 0; g < GRAPHS; ++g) ASSERT_CUDA(driver, cuGraphLaunch(execs[g], session->stream));
  for (size_t g = 0; g < GRAPHS; ++g) {
    gpu_fixture_check_outputs(&runners[g], cases[g]);
    ASSERT_CUDA(driver, cuGraphExecDestroy(execs[g]));
    case_runner_release(&runners[g]);
    decode_case_destroy(cases[g]);
  }
}

/*
 * A handle that is created while its stream captures, from the cache or from the shipped PTX,
 * works, and so does the graph.
 */
static void test_a_handle_can_be_created_during_a_capture(void **state) {
  const struct gpu_session *session = *state;
  const struct cuda_driver *driver = &session->driver;
  udm_options without = UDM_OPTIONS_INIT;
  without.nvrtc_library = "/nonexistent/libnvrtc.so";
  without.cache_dir = "/nonexistent/cache";
  const udm_options *const ways[] = {NULL, &without};
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.batch_size = 7;
  request.max_len = 100;
  for (int way = 0; way < 2; ++way) {
    CUgraph graph = NULL;
    CUgraphExec exec = NULL;
    udm_context *late = NULL;
    udm_context *gone = NULL;
    struct case_runner runner = CASE_RUNNER_INIT(driver, session->udm, session->stream);
    struct decode_case *c = gpu_fixture_create_case(&request);
    if (!case_runner_upload(&runner, c)) fail_msg("%s", runner.error);
    ASSERT_CUDA(driver, cuStreamBeginCapture_v2(session->stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    const udm_status status = udm_create(ways[way], &late);
    if (status != UDM_OK) fail_msg("%s: %s", udm_status_name(status), udm_last_error());
    assert_int_equal(udm_create(ways[way], &gone), UDM_OK);
    udm_destroy(gone);
    runner.udm = late;
    if (!case_runner_launch(&runner, c)) fail_msg("%s", runner.error);
    ASSERT_CUDA(driver, cuStreamEndCapture(session->stream, &graph));
    ASSERT_CUDA(driver, cuGraphInstantiateWithFlags(&exec, graph, 0));
    ASSERT_CUDA(driver, cuGraphLaunch(exec, session->stream));
    gpu_fixture_check_outputs(&runner, c);
    ASSERT_CUDA(driver, cuGraphExecDestroy(exec));
    ASSERT_CUDA(driver, cuGraphDestroy(graph));
    case_runner_release(&runner);
    decode_case_destroy(c);
    udm_destroy(late);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_direct_launch_replays_with_changing_lengths),
      cmocka_unit_test(test_table_launch_replays_with_changing_lengths),
      cmocka_unit_test(test_an_iteration_replays_with_changing_lengths),
      cmocka_unit_test(test_several_graphs_live_side_by_side),
      cmocka_unit_test(test_a_handle_can_be_created_during_a_capture),
  };
  gpu_fixture_skip_if_impossible();
  return cmocka_run_group_tests_name("capture and replay", tests, gpu_fixture_open,
                                     gpu_fixture_close);
}
