/*
 * test_kernel_scalars.c: what a launch of the general kernel gets: its blocks, and the numbers
 * of a mode.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "launch/kernel_scalars.h"

#include <string.h>

#include "cmocka_headers.h"

/* Nothing here dereferences an address. */
static udm_decode_args verify_args(void) {
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  args.seq_lens = args.req_pool_indices = args.req_to_token = 4096;
  args.req_to_token_stride = args.page_table_stride = args.max_len = 100;
  args.batch_size = 600;
  args.num_backends = 3;
  for (int b = 0; b < 3; ++b) args.backends[b].page_table_1 = 4096;
  args.mode = UDM_MODE_TARGET_VERIFY;
  args.tokens_per_request = 4;
  return args;
}

static uint32_t flags_of(const udm_decode_args *args) {
  struct udm_kernel_scalars scalars;
  udm_kernel_scalars_fill(args, true, 1, &scalars);
  return scalars.flags;
}

/* 600 requests of 4 query tokens are ten chunks of 256 tokens, each of which has two blocks. */
static void test_blocks_of_lengths_and_schedules(void **state) {
  (void)state;
  udm_decode_args args = verify_args();
  assert_int_equal(udm_blocks_after_copies(&args), 20);
  args.extra[3].paged_mqa_schedule = 4096; /* no such backend */
  assert_int_equal(udm_blocks_after_copies(&args), 20);
  args.extra[2].paged_mqa_schedule = 4096;
  assert_int_equal(udm_blocks_after_copies(&args), 20 + 1);
  /* a backend with an offset of its own: each has its blocks */
  args.mode = UDM_MODE_DECODE;
  args.seqlen_offset[0] = args.seqlen_offset[1] = args.seqlen_offset[2] = 5;
  assert_int_equal(udm_blocks_after_copies(&args), 20 + 1);
  args.seqlen_offset[1] = 6;
  assert_int_equal(udm_blocks_after_copies(&args), 3 * (20 + 1));
  args.extra[2].paged_mqa_schedule = 0;
  assert_int_equal(udm_blocks_after_copies(&args), 3 * 20);
  args.extend_lens = 4096; /* a ragged batch: three chunks of requests */
  args.num_tokens = 5000;
  assert_int_equal(udm_blocks_after_copies(&args), 3 * 6);
}

/* Equal rows whose stride is no multiple of 16 bytes have different alignments. */
static void test_equal_rows_and_vectors(void **state) {
  (void)state;
  udm_decode_args args = verify_args();
  assert_int_equal(flags_of(&args) & UDM_KERNEL_VECTORS, UDM_KERNEL_VECTORS);
  args.page_table_stride = 102;
  assert_int_equal(flags_of(&args) & UDM_KERNEL_VECTORS, 0);
  args.tokens_per_request = 1;
  assert_int_equal(flags_of(&args) & UDM_KERNEL_VECTORS, UDM_KERNEL_VECTORS);
  args.tokens_per_request = 0;
  args.extend_lens = 4096;
  assert_int_equal(flags_of(&args) & UDM_KERNEL_VECTORS, 0);
  args.flags = UDM_ROW_PER_REQUEST;
  assert_int_equal(flags_of(&args) & UDM_KERNEL_VECTORS, UDM_KERNEL_VECTORS);
}

static void test_flags_of_a_mode(void **state) {
  (void)state;
  const uint32_t of_modes = UDM_KERNEL_EXTEND_LENS_INT64 | UDM_KERNEL_ADD_TOKENS |
                            UDM_KERNEL_ROW_PER_REQUEST | UDM_KERNEL_SKIP_PADDING |
                            UDM_KERNEL_CTX_LENS_OF_REQUEST | UDM_KERNEL_SCHEDULE_OF_REQUESTS |
                            UDM_KERNEL_SCHEDULE_SM100;
  udm_decode_args args = verify_args();
  assert_int_equal(flags_of(&args) & of_modes, UDM_KERNEL_ADD_TOKENS);
  args.mode = UDM_MODE_DRAFT_EXTEND;
  assert_int_equal(flags_of(&args) & of_modes, 0);
  args.flags = UDM_ROW_PER_REQUEST;
  assert_int_equal(flags_of(&args) & of_modes, UDM_KERNEL_ROW_PER_REQUEST);
  args.flags = UDM_SKIP_PADDING;
  assert_int_equal(flags_of(&args) & of_modes, UDM_KERNEL_SKIP_PADDING);
  args.flags = UDM_CTX_LENS_OF_REQUEST;
  assert_int_equal(flags_of(&args) & of_modes, UDM_KERNEL_CTX_LENS_OF_REQUEST);
  args.flags = 0;
  args.extend_lens_type = UDM_INT64;
  assert_int_equal(flags_of(&args) & of_modes, UDM_KERNEL_EXTEND_LENS_INT64);
  args.extend_lens_type = UDM_INT32;
  args.schedule_next_n = 1;
  args.schedule_variant = UDM_SCHEDULE_SM90;
  assert_int_equal(flags_of(&args) & of_modes, UDM_KERNEL_SCHEDULE_OF_REQUESTS);
  args.schedule_next_n = 0;
  args.schedule_variant = UDM_SCHEDULE_SM100;
  assert_int_equal(flags_of(&args) & of_modes, UDM_KERNEL_SCHEDULE_SM100);
}

static void test_numbers_of_a_mode(void **state) {
  (void)state;
  static const struct {
    int32_t next_n;
    int sm90, sm100;
  } pieces[] = {{0, 1, 1}, {1, 1, 1}, {2, 1, 2}, {3, 2, 3}, {4, 2, 4}, {5, 3, 5}};
  struct udm_kernel_general general;
  udm_decode_args args = verify_args();
  for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; ++p) {
    args.schedule_next_n = pieces[p].next_n;
    args.schedule_variant = UDM_SCHEDULE_SM90;
    udm_kernel_general_fill(&args, &general);
    assert_int_equal(general.phase.schedule_pieces, pieces[p].sm90);
    args.schedule_variant = UDM_SCHEDULE_SM100;
    udm_kernel_general_fill(&args, &general);
    assert_int_equal(general.phase.schedule_pieces, pieces[p].sm100);
  }
  assert_int_equal(general.phase.num_tokens, 2400);
  assert_int_equal(general.phase.kpool, 1);
  args.index_kpool = 64;
  args.tokens_per_request = 0;
  args.extend_lens = 4096;
  args.num_tokens = 17;
  udm_kernel_general_fill(&args, &general);
  assert_int_equal(general.phase.num_tokens, 17);
  assert_int_equal(general.phase.kpool, 64);
}

/* The length blocks, two per 256 rows, have room beside the copy blocks. */
static void test_copy_blocks_per_multiprocessor(void **state) {
  (void)state;
  enum { MULTIPROCESSORS = 132 };
  static const struct {
    int32_t batch_size, copy_blocks, of_equal_rows;
  } grids[] = {
      {1, 132, 132},
      {32, 132, 132},
      {33, 2 * 132 - 2, 3 * 132 - 2},
      {48, 2 * 132 - 2, 3 * 132 - 2},
      {49, 3 * 132 - 2, 3 * 132 - 2},
      {128, 3 * 132 - 2, 3 * 132 - 4},
      {129, 2 * 132 - 2, 3 * 132 - 6},
      {512, 2 * 132 - 4, 3 * 132 - 16},
      {513, 3 * 132 - 6, 3 * 132 - 18},
  };
  for (size_t g = 0; g < sizeof grids / sizeof grids[0]; ++g) {
    udm_decode_args args = verify_args();
    args.max_len = 1 << 20;
    args.batch_size = grids[g].batch_size;
    assert_int_equal(udm_copy_blocks(MULTIPROCESSORS, &args, true), grids[g].of_equal_rows);
    args.mode = UDM_MODE_DECODE;
    args.tokens_per_request = 1;
    assert_int_equal(udm_copy_blocks(MULTIPROCESSORS, &args, true), grids[g].copy_blocks);
  }
}

/* Every window of the 600 requests has the same number of copy blocks, or a block serves several.
 */
static void test_copy_blocks_per_window(void **state) {
  (void)state;
  static const struct {
    unsigned int offered, copy_blocks, per_window;
  } rows[] = {{1, 1, 1}, {2, 2, 1}, {3, 3, 1}, {5, 3, 1}, {6, 6, 2}, {100, 99, 33}};
  const udm_decode_args args = verify_args();
  struct udm_kernel_scalars scalars;
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; ++r) {
    udm_kernel_scalars_fill(&args, true, rows[r].offered, &scalars);
    assert_int_equal(scalars.num_windows, 3);
    assert_int_equal(scalars.num_windows_reciprocal, UINT32_MAX / 3);
    assert_int_equal(scalars.copy_blocks, rows[r].copy_blocks);
    assert_int_equal(scalars.blocks_per_window, rows[r].per_window);
  }
}

/* Each of a request's equal rows has warps of its own if a row has 32 slices then, or more. */
static void test_equal_rows_of_few_requests_are_copied_apart(void **state) {
  (void)state;
  enum { BLOCKS = 132, WARPS = BLOCKS * UDM_KERNEL_WARPS };
  udm_decode_args args = verify_args();
  struct udm_kernel_scalars scalars;
  for (args.batch_size = 1; args.batch_size <= 32; ++args.batch_size) {
    const int32_t slices = WARPS / args.batch_size;
    const bool apart = args.batch_size <= 8;
    udm_kernel_scalars_fill(&args, true, BLOCKS, &scalars);
    assert_int_equal((scalars.flags & UDM_KERNEL_COPIES_APART) != 0, apart);
    assert_int_equal(scalars.slices_per_row, apart ? slices / 4 : slices);
  }
  args.batch_size = 1;
  args.flags = UDM_ROW_PER_REQUEST;
  udm_kernel_scalars_fill(&args, true, BLOCKS, &scalars);
  assert_int_equal(scalars.flags & UDM_KERNEL_COPIES_APART, 0);
  assert_int_equal(scalars.slices_per_row, WARPS);
}

#define HAS_DIRECT(expected, field, value)                        \
  do {                                                            \
    udm_decode_args changed_ = args;                              \
    changed_.field = (value);                                     \
    assert_int_equal(udm_has_direct_kernel(&changed_), expected); \
  } while (0)

/* It lacks what a decode does not need, so each option that it would ignore is the general one's.
 */
static void test_the_direct_kernel_serves_decode_mode(void **state) {
  (void)state;
  udm_decode_args args = verify_args();
  assert_false(udm_has_direct_kernel(&args));
  args.mode = UDM_MODE_DECODE;
  args.tokens_per_request = 0;
  assert_true(udm_has_direct_kernel(&args));
  args.extra[1].paged_mqa_ctx_lens = args.extra[1].paged_mqa_schedule = 4096;
  args.num_sms = 132;
  assert_true(udm_has_direct_kernel(&args));
  HAS_DIRECT(true, tokens_per_request, 1);
  HAS_DIRECT(true, schedule_next_n, 2);
  HAS_DIRECT(true, schedule_variant, UDM_SCHEDULE_SM100);
  HAS_DIRECT(true, index_kpool, 1);
  HAS_DIRECT(false, num_backends, 4);
  HAS_DIRECT(false, mode, UDM_MODE_DRAFT_EXTEND);
  HAS_DIRECT(false, schedule_next_n, 3);
  HAS_DIRECT(false, index_kpool, 4);
  HAS_DIRECT(false, flags, UDM_SKIP_PADDING);
  HAS_DIRECT(false, seqlen_offset[2], 1);
  HAS_DIRECT(false, extra[0].cu_seqlens_q, 4096);
  HAS_DIRECT(false, extend_lens, 4096);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_blocks_of_lengths_and_schedules),
      cmocka_unit_test(test_equal_rows_and_vectors),
      cmocka_unit_test(test_flags_of_a_mode),
      cmocka_unit_test(test_numbers_of_a_mode),
      cmocka_unit_test(test_copy_blocks_per_multiprocessor),
      cmocka_unit_test(test_copy_blocks_per_window),
      cmocka_unit_test(test_equal_rows_of_few_requests_are_copied_apart),
      cmocka_unit_test(test_the_direct_kernel_serves_decode_mode),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
