/*
 * test_launch_graph_node.c: an explicit kernel node of a graph, whose parameters
 * udm_prepare_direct() or udm_prepare_table() fills, and its update with
 * cuGraphExecKernelNodeSetParams.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "gpu_fixture.h"

static CUDA_KERNEL_NODE_PARAMS_v1 node_of(const udm_kernel_launch *launch) {
  const CUDA_KERNEL_NODE_PARAMS_v1 node = {.func = (CUfunction)launch->function,
                                           .gridDimX = launch->grid_x,
                                           .gridDimY = launch->grid_y,
                                           .gridDimZ = launch->grid_z,
                                           .blockDimX = launch->block_x,
                                           .blockDimY = launch->block_y,
                                           .blockDimZ = launch->block_z,
                                           .sharedMemBytes = launch->shared_bytes,
                                           .kernelParams = launch->parameters};
  return node;
}

static void prepare(struct case_runner *runner, const struct decode_case *c,
                    udm_kernel_launch *launch) {
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  decode_case_bind(c, runner->outputs.memory, runner->inputs.memory, &args);
  const udm_status status =
      c->table ? udm_prepare_table(runner->udm, &args,
                                   runner->inputs.memory + (CUdeviceptr)c->backend_pointers_offset,
                                   c->backend_pointers_stride, launch)
               : udm_prepare_direct(runner->udm, &args, launch);
  if (status != UDM_OK) fail_msg("%s", udm_last_error());
  /* the structure holds its own copies */
  memset(&args, 0xff, sizeof args);
}

static void check(struct case_runner *runner, struct decode_case *c, CUgraphExec exec, int steps) {
  for (int step = 0; step < steps; ++step) {
    if (step > 0) {
      assert_int_equal(decode_case_next_step(c), UDM_OK);
      if (!case_runner_upload_inputs(runner, c)) fail_msg("%s", runner->error);
    }
    ASSERT_CUDA(runner->driver, cuGraphLaunch(exec, runner->stream));
    gpu_fixture_check_outputs(runner, c);
  }
}

enum { CASES = 4 };

struct shape {
  bool table;
  int32_t backends;
  int32_t batch_size;
  int32_t mode; /* 0: decode, the seven outputs; or a udm_mode with all that goes with it */
};

/* Creates a node for one case and replays it, then sets and replays cases of other sizes. */
static void add_replay_and_update(const struct gpu_session *session,
                                  const struct shape shapes[CASES]) {
  enum { STEPS = 5 };
  const struct cuda_driver *driver = &session->driver;
  struct case_runner runners[CASES];
  struct decode_case *cases[CASES];
  CUgraph graph = NULL;
  CUgraphNode node = NULL;
  CUgraphExec exec = NULL;
  ASSERT_CUDA(driver, cuGraphCreate(&graph, 0));
  for (int i = 0; i < CASES; ++i) {
    struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
    const struct case_runner empty = CASE_RUNNER_INIT(driver, session->udm, session->stream);
    udm_kernel_launch launch = UDM_KERNEL_LAUNCH_INIT;
    request.seed = 700 + (uint64_t)i;
    request.table = shapes[i].table;
    request.num_backends = shapes[i].backends;
    request.batch_size = shapes[i].batch_size;
    if (shapes[i].mode) request.mode = shapes[i].mode;
    request.max_len = 700;
    runners[i] = empty;
    cases[i] = gpu_fixture_create_case(&request);
    if (!case_runner_upload(&runners[i], cases[i])) fail_msg("%s", runners[i].error);
    prepare(&runners[i], cases[i], &launch);
    const CUDA_KERNEL_NODE_PARAMS_v1 parameters = node_of(&launch);
    if (i == 0) {
      ASSERT_CUDA(driver, cuGraphAddKernelNode(&node, graph, NULL, 0, &parameters));
      ASSERT_CUDA(driver, cuGraphInstantiateWithFlags(&exec, graph, 0));
    } else {
      ASSERT_CUDA(driver, cuGraphExecKernelNodeSetParams(exec, node, &parameters));
    }
    memset(&launch, 0xff, sizeof launch); /* the driver has copied the parameters */
    check(&runners[i], cases[i], exec, STEPS);
  }
  ASSERT_CUDA(driver, cuGraphExecDestroy(exec));
  ASSERT_CUDA(driver, cuGraphDestroy(graph));
  for (int i = 0; i < CASES; ++i) {
    case_runner_release(&runners[i]);
    decode_case_destroy(cases[i]);
  }
}

static void test_direct_node_replays_and_is_updated(void **state) {
  static const struct shape shapes[CASES] = {
      {false, 3, 24, 0}, {false, 3, 1, 0}, {false, 3, 200, 0}, {false, 3, 0, 0}};
  add_replay_and_update(*state, shapes);
}

static void test_node_of_eight_backends_replays_and_is_updated(void **state) {
  static const struct shape shapes[CASES] = {
      {false, 8, 24, 0}, {false, 8, 1, 0}, {false, 8, 300, 0}, {false, 8, 0, 0}};
  add_replay_and_update(*state, shapes);
}

static void test_table_node_replays_and_is_updated(void **state) {
  static const struct shape shapes[CASES] = {
      {true, 3, 24, 0}, {true, 2, 1, 0}, {true, 1, 200, 0}, {true, 3, 0, 0}};
  add_replay_and_update(*state, shapes);
}

static void test_node_of_every_mode_replays_and_is_updated(void **state) {
  enum { VERIFY = UDM_MODE_TARGET_VERIFY, EXTEND = UDM_MODE_DRAFT_EXTEND };
  static const struct shape shapes[][CASES] = {
      {{false, 1, 24, VERIFY}, {false, 1, 24, EXTEND}, {true, 2, 70, VERIFY}, {true, 3, 5, EXTEND}},
      {{true, 3, 61, EXTEND},
       {false, 8, 261, VERIFY},
       {false, 2, 0, EXTEND},
       {true, 1, 33, VERIFY}},
  };
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; ++i) {
    add_replay_and_update(*state, shapes[i]);
  }
}

/* Other backends, rows or modes, or the other call, can mean another function in the same node. */
static void test_a_node_changes_its_function(void **state) {
  enum { FUNCTION_MAY_CHANGE = 11020 };
  static const struct shape shapes[][CASES] = {
      {{false, 3, 24, 0}, {false, 4, 61, 0}, {false, 1, 300, 0}, {false, 8, 7, 0}},
      {{false, 8, 300, 0}, {true, 2, 24, 0}, {false, 2, 61, 0}, {true, 8, 5, 0}},
      {{false, 3, 257, 0}, {false, 3, 256, 0}, {true, 3, 256, 0}, {true, 3, 257, 0}},
      {{false, 2, 24, 0},
       {false, 2, 24, UDM_MODE_TARGET_VERIFY},
       {false, 1, 9, 0},
       {true, 1, 9, 0}},
  };
  udm_driver_info driver = {.struct_size = sizeof driver};
  assert_int_equal(udm_query_driver(NULL, &driver), UDM_OK);
  if (driver.version < FUNCTION_MAY_CHANGE) {
    printf("skipped: a driver of before CUDA 11.2 keeps a node's function\n");
    skip();
  }
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; ++i) {
    add_replay_and_update(*state, shapes[i]);
  }
}

static void test_wrong_arguments_are_named(void **state) {
  const struct gpu_session *session = *state;
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  udm_kernel_launch launch = UDM_KERNEL_LAUNCH_INIT;
  args.num_backends = UDM_MAX_DIRECT_BACKENDS + 1;
  assert_int_equal(udm_prepare_direct(session->udm, &args, &launch), UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "num_backends"));
  args.num_backends = 4;
  assert_null(launch.function);
  assert_int_equal(udm_prepare_direct(NULL, &args, &launch), UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "ctx"));
  assert_int_equal(udm_prepare_direct(session->udm, &args, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "kernel_launch"));
  assert_int_equal(udm_prepare_table(session->udm, &args, 0, 4, &launch),
                   UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "backend_pointers"));
  launch.struct_size = 8;
  assert_int_equal(udm_prepare_table(session->udm, &args, 64, 4, &launch),
                   UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "struct_size"));
}

/* No launch, so the pointers need no memory. */
static void test_the_largest_batch_can_be_described(void **state) {
  const struct gpu_session *session = *state;
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  udm_kernel_launch launch = UDM_KERNEL_LAUNCH_INIT;
  args.seq_lens = args.req_pool_indices = args.req_to_token = 4096;
  args.req_to_token_stride = args.page_table_stride = args.real_page_table_stride = INT32_MAX;
  args.batch_size = INT32_MAX;
  args.max_len = 97; /* a tile of 128 columns, wherever the row begins in a line */
  args.num_backends = 1;
  args.real_page_size = 4;
  for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) (&args.backends[0].cache_seqlens)[o] = 4096;
  assert_int_equal(udm_prepare_direct(session->udm, &args, &launch), UDM_OK);
  assert_in_range(launch.grid_x, 2, 1 << 20);
  args.max_len = 98;
  assert_int_equal(udm_prepare_direct(session->udm, &args, &launch), UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "max_len"));
  args.batch_size = 127;
  args.max_len = INT32_MAX;
  assert_int_equal(udm_prepare_direct(session->udm, &args, &launch), UDM_OK);
  args.page_table_stride = 0;
  args.backends[0].page_table_1 = 0;
  args.real_page_size = 8;
  args.batch_size = 255; /* 2^23 tiles of pages per row */
  assert_int_equal(udm_prepare_direct(session->udm, &args, &launch), UDM_OK);
}

/* Direct launches of up to 3 backends have a kernel of their own; the general one is for all else.
 */
static void test_backends_choose_the_kernel(void **state) {
  enum { DIRECT, GENERAL, KERNELS };
  const struct gpu_session *session = *state;
  static const struct {
    bool table;
    int32_t backends, rows, kernel;
  } launches[] = {
      {false, 3, 256, DIRECT}, {false, 3, 257, DIRECT},  {true, 3, 256, GENERAL},
      {false, 4, 1, GENERAL},  {false, 8, 257, GENERAL}, {true, 3, 257, GENERAL},
      {true, 4, 256, GENERAL}, {false, 1, 0, DIRECT},    {true, 1, 1, GENERAL},
  };
  void *kernels[KERNELS] = {NULL};
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  args.seq_lens = args.req_pool_indices = args.req_to_token = 4096;
  for (int b = 0; b < UDM_MAX_BACKENDS; ++b) {
    args.backends[b] = (udm_backend_outputs){4096, 4096, 0, 4096, 4096, 0, 4096};
  }
  for (size_t l = 0; l < sizeof launches / sizeof launches[0]; ++l) {
    udm_kernel_launch launch = UDM_KERNEL_LAUNCH_INIT;
    args.batch_size = launches[l].rows;
    args.num_backends = launches[l].backends;
    assert_int_equal(launches[l].table
                         ? udm_prepare_table(session->udm, &args, 4096, UDM_MAX_BACKENDS, &launch)
                         : udm_prepare_direct(session->udm, &args, &launch),
                     UDM_OK);
    void **const kernel = &kernels[launches[l].kernel];
    if (!*kernel) *kernel = launch.function;
    assert_ptr_equal(launch.function, *kernel);
  }
  for (int k = 0; k < KERNELS; ++k) {
    for (int other = 0; other < k; ++other) assert_ptr_not_equal(kernels[k], kernels[other]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_direct_node_replays_and_is_updated),
      cmocka_unit_test(test_node_of_eight_backends_replays_and_is_updated),
      cmocka_unit_test(test_table_node_replays_and_is_updated),
      cmocka_unit_test(test_node_of_every_mode_replays_and_is_updated),
      cmocka_unit_test(test_a_node_changes_its_function),
      cmocka_unit_test(test_wrong_arguments_are_named),
      cmocka_unit_test(test_the_largest_batch_can_be_described),
      cmocka_unit_test(test_backends_choose_the_kernel),
  };
  gpu_fixture_skip_if_impossible();
  return cmocka_run_group_tests_name("kernel nodes of a graph", tests, gpu_fixture_open,
                                     gpu_fixture_close);
}
