/*
 * test_launch_grid.c: tests how a launch is split into blocks, windows and slices, and the scalars
 * that say so, by the description of a prepared launch. Nothing is launched.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "gpu_fixture.h"
#include "kernel_params.h"

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

/* Two length blocks per 256 rows, 64 at most; one copy block per 256 columns. */
static void test_the_grid_follows_the_columns(void **state) {
  const struct gpu_session *session = *state;
  udm_context_info info = UDM_CONTEXT_INFO_INIT;
  assert_int_equal(udm_get_context_info(session->udm, &info), UDM_OK);
  const int32_t most = info.multiprocessor_count;
  const struct {
    int32_t batch_size, max_len, blocks;
  } grids[] = {
      {0, 100, 2},
      {9, 0, 2},
      {9, 100, 2 + 4},
      {256, 1, 2 + 2},
      {32, 1 << 20, 2 + most},
      {33, 1 << 20, 2 + copy_blocks_beside(2, 1, most, 2)},
      {48, 1 << 20, 2 + copy_blocks_beside(2, 1, most, 2)},
      {49, 1 << 20, 2 + copy_blocks_beside(2, 1, most, 3)},
      {128, 1 << 20, 2 + copy_blocks_beside(2, 1, most, 3)},
      {129, 1 << 20, 2 + copy_blocks_beside(2, 1, most, 2)},
      {256, 1 << 20, 2 + copy_blocks_beside(2, 1, most, 2)},
      {257, 1 << 20, 4 + copy_blocks_beside(4, 2, most, 2)},
      {512, 1 << 20, 4 + copy_blocks_beside(4, 2, most, 2)},
      {513, 1 << 20, 6 + copy_blocks_beside(6, 3, most, 3)},
      {8192, 1 << 20, 64 + copy_blocks_beside(64, 32, most, 3)},
      {8193, 1 << 20, 34 + copy_blocks_beside(34, 33, most, 3)}, /* 33 times 256 rows, by twos */
      {1 << 16, 1 << 16, 64 + copy_blocks_beside(64, 256, most, 3)}, /* 2^32 columns */
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
      {128, 1 << 20, 1, 128, 8 * copy_blocks_beside(2, 1, most, 3) / 128},
      {129, 1 << 20, 1, 129, 8 * copy_blocks_beside(2, 1, most, 2) / 129},
      {9, 100, 1, 9, 8 * 4 / 9},
      {257, 1 << 20, 2, 129, 8 * copy_blocks_beside(4, 2, most, 2) / 257},
      {1000, 1 << 20, 4, 250, 8 * copy_blocks_beside(8, 4, most, 3) / 1000},
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
    assert_int_equal(scalar(&launch, PLACE_window_rows_reciprocal),
                     UINT32_MAX / (uint32_t)rows[r].window_rows);
    assert_int_equal(scalar(&launch, PLACE_slices_per_row), slices);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_flags_state_the_alignment_of_the_tables),
      cmocka_unit_test(test_the_grid_follows_the_columns),
      cmocka_unit_test(test_every_row_has_static_slices),
  };
  gpu_fixture_skip_if_impossible();
  return cmocka_run_group_tests_name("the grid of a launch", tests, gpu_fixture_open,
                                     gpu_fixture_close);
}
