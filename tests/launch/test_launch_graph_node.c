/*
 * test_launch_graph_node.c: an explicit kernel node of a graph, whose parameters
 * udm_prepare_direct() or udm_prepare_table() fills, and its update with
 * cuGraphExecKernelNodeSetParams.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "gpu_fixture.h"
#include "kernel_params.h"

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
  args.real_page_size = 2;
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
  args.batch_size = 255;
  assert_int_equal(udm_prepare_direct(session->udm, &args, &launch), UDM_OK);
}

/* Which parameters of all kernels. */
/* The scalars of the kernel by their place among its parameters. */
#define PLACE(type, name) PLACE_##name,
enum { UDM_KERNEL_SCALARS(PLACE) SCALARS };
#undef PLACE

static uint32_t scalar(const udm_kernel_launch *launch, int place) {
  return *(const uint32_t *)launch->parameters[place];
}

enum {
  SLOTS = UDM_KERNEL_SLOTS,
  VECTORS = UDM_KERNEL_VECTORS,
  LINE_OFFSET_BIT = UDM_KERNEL_LINE_OFFSET_BIT
};

/* The host describes page_table_1 by flags; from a pointer table, the kernel finds out itself. */
static void test_the_flags_state_the_alignment_of_the_tables(void **state) {
  const struct gpu_session *session = *state;
  static const struct {
    CUdeviceptr tables[3];
    uint32_t flags;
  } rows[] = {
      {{4096, 8192, 12288}, SLOTS | VECTORS},
      {{4096 + 124, 8192 + 12, 12288 + 28}, SLOTS | VECTORS | 31 << LINE_OFFSET_BIT},
      {{0, 8192 + 68, 4096 + 4}, SLOTS | VECTORS | 17 << LINE_OFFSET_BIT},
      {{4096 + 8, 0, 4096 + 24}, SLOTS | VECTORS | 2 << LINE_OFFSET_BIT},
      {{4096 + 8, 0, 4096 + 12}, SLOTS | 2 << LINE_OFFSET_BIT},
      {{8192 + 4, 4096, 4096 + 4}, SLOTS | 1 << LINE_OFFSET_BIT},
      {{0, 0, 0}, 0},
  };
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  args.seq_lens = args.req_pool_indices = args.req_to_token = 4096;
  args.req_to_token_stride = args.page_table_stride = args.max_len = 100;
  args.batch_size = 9;
  args.num_backends = 3;
  for (int b = 0; b < UDM_MAX_BACKENDS; ++b)
    args.backends[b].page_table_1 = 4096 + 4 * (CUdeviceptr)b;
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; ++r) {
    udm_kernel_launch launch = UDM_KERNEL_LAUNCH_INIT;
    for (int b = 0; b < 3; ++b) {
      args.backends[b] = (udm_backend_outputs){4096, 4096, rows[r].tables[b], 4096, 4096, 0, 4096};
    }
    assert_int_equal(udm_prepare_direct(session->udm, &args, &launch), UDM_OK);
    assert_int_equal(scalar(&launch, PLACE_flags), rows[r].flags);
    udm_decode_args more = args; /* the last three of six */
    more.num_backends = 6;
    memcpy(more.backends + 3, args.backends, sizeof args.backends[0] * 3);
    for (int b = 0; b < 3; ++b) more.backends[b].page_table_1 = 0;
    assert_int_equal(udm_prepare_direct(session->udm, &more, &launch), UDM_OK);
    assert_int_equal(scalar(&launch, PLACE_flags), rows[r].flags);
    assert_int_equal(udm_prepare_table(session->udm, &args, 4096, 3, &launch), UDM_OK);
    assert_int_equal(scalar(&launch, PLACE_flags), VECTORS); /* until the kernel finds it false */
  }
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

/* A launch of one backend that has no real_page_table. */
static void prepare_shape(const struct gpu_session *session, int32_t batch_size, int32_t max_len,
                          udm_kernel_launch *launch) {
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  args.seq_lens = args.req_pool_indices = args.req_to_token = 4096;
  args.req_to_token_stride = args.page_table_stride = 1 << 20;
  args.batch_size = batch_size;
  args.max_len = max_len;
  args.num_backends = 1;
  args.backends[0] = (udm_backend_outputs){4096, 4096, 4096, 4096, 4096, 0, 4096};
  assert_int_equal(udm_prepare_direct(session->udm, &args, launch), UDM_OK);
}

/*
 * Beyond 32 rows, `each` blocks per multiprocessor run at a time, the length blocks among them.
 * Every window has the same number of copy blocks.
 */
static int32_t copy_blocks_beside(int32_t length_blocks, int32_t windows, int32_t multiprocessors,
                                  int32_t each) {
  const int32_t most =
      length_blocks < multiprocessors ? each * multiprocessors - length_blocks : multiprocessors;
  return most > windows ? most - most % windows : most;
}

/* One length block per 256 rows, 32 at most; one copy block per 256 columns. */
static void test_the_grid_follows_the_columns(void **state) {
  const struct gpu_session *session = *state;
  udm_context_info info = UDM_CONTEXT_INFO_INIT;
  assert_int_equal(udm_get_context_info(session->udm, &info), UDM_OK);
  const int32_t most = info.multiprocessor_count;
  const struct {
    int32_t batch_size, max_len, blocks;
  } grids[] = {
      {0, 100, 1},
      {9, 0, 1},
      {9, 100, 1 + 4},
      {256, 1, 1 + 2},
      {32, 1 << 20, 1 + most},
      {33, 1 << 20, 1 + copy_blocks_beside(1, 1, most, 2)},
      {48, 1 << 20, 1 + copy_blocks_beside(1, 1, most, 2)},
      {49, 1 << 20, 1 + copy_blocks_beside(1, 1, most, 3)},
      {128, 1 << 20, 1 + copy_blocks_beside(1, 1, most, 3)},
      {129, 1 << 20, 1 + copy_blocks_beside(1, 1, most, 2)},
      {256, 1 << 20, 1 + copy_blocks_beside(1, 1, most, 2)},
      {257, 1 << 20, 2 + copy_blocks_beside(2, 2, most, 2)},
      {8192, 1 << 20, 32 + copy_blocks_beside(32, 32, most, 2)},
      {8193, 1 << 20, 17 + copy_blocks_beside(17, 33, most, 2)}, /* 33 times 256 rows, by twos */
      {1 << 16, 1 << 16, 32 + copy_blocks_beside(32, 256, most, 2)}, /* 2^32 columns */
  };
  for (size_t g = 0; g < sizeof grids / sizeof grids[0]; ++g) {
    udm_kernel_launch launch = UDM_KERNEL_LAUNCH_INIT;
    prepare_shape(session, grids[g].batch_size, grids[g].max_len, &launch);
    assert_int_equal(launch.grid_x, grids[g].blocks);
  }
}

/* The static part copies as many slices of each row as there are copying warps, 8 per block. */
static void test_every_row_has_static_slices(void **state) {
  const struct gpu_session *session = *state;
  udm_context_info info = UDM_CONTEXT_INFO_INIT;
  assert_int_equal(udm_get_context_info(session->udm, &info), UDM_OK);
  const int32_t most = info.multiprocessor_count;
  const struct {
    int32_t batch_size, max_len;
    int32_t windows, window_rows, slices;
  } rows[] = {
      {1, 1 << 20, 1, 1, 8 * most},
      {7, 1 << 20, 1, 7, 8 * most / 7},
      {32, 1 << 20, 1, 32, 8 * most / 32},
      {128, 1 << 20, 1, 128, 8 * copy_blocks_beside(1, 1, most, 3) / 128},
      {129, 1 << 20, 1, 129, 8 * copy_blocks_beside(1, 1, most, 2) / 129},
      {9, 100, 1, 9, 8 * 4 / 9},
      {257, 1 << 20, 2, 129, 8 * copy_blocks_beside(2, 2, most, 2) / 257},
      {1000, 1 << 20, 4, 250, 8 * copy_blocks_beside(4, 4, most, 2) / 1000},
      {1 << 16, 1 << 20, 256, 256, 1},
      {0, 100, 1, 1, 1},
      {9, 0, 1, 9, 1},
  };
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; ++r) {
    udm_kernel_launch launch = UDM_KERNEL_LAUNCH_INIT;
    prepare_shape(session, rows[r].batch_size, rows[r].max_len, &launch);
    const uint32_t slices = rows[r].slices > 0 ? (uint32_t)rows[r].slices : 1;
    assert_int_equal(scalar(&launch, PLACE_num_windows), rows[r].windows);
    assert_int_equal(scalar(&launch, PLACE_window_rows), rows[r].window_rows);
    assert_int_equal(scalar(&launch, PLACE_window_reciprocal),
                     UINT32_MAX / (uint32_t)rows[r].window_rows);
    assert_int_equal(scalar(&launch, PLACE_slices_per_row), slices);
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
      cmocka_unit_test(test_the_flags_state_the_alignment_of_the_tables),
      cmocka_unit_test(test_backends_choose_the_kernel),
      cmocka_unit_test(test_the_grid_follows_the_columns),
      cmocka_unit_test(test_every_row_has_static_slices),
  };
  gpu_fixture_skip_if_impossible();
  return cmocka_run_group_tests_name("kernel nodes of a graph", tests, gpu_fixture_open,
                                     gpu_fixture_close);
}
