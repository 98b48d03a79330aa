/*
 * test_check_strays.c: writes outside the stated columns, in tables too large to be
 * swept at every step: the checker must find each once, whatever later steps write.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "checker_fixture.h"
#include "cmocka_headers.h"
#include "numbers/random.h"
#include "replay/device/output_tensors.h"

enum { STEPS = 130, SPOIL_STEP = 41, PLANTED_STRAYS = 600, VERIFY_TOKENS = 4 };

/* ---- who finds it, and when ---- */

static void write_before_tensor(const udm_decode_args *args) {
  elements(args->backends[0].page_table_1)[-1] = 7;
}

static void write_behind_row(const udm_decode_args *args) {
  elements(args->backends[1].page_table_1)[length_of(args, 0)] = 7;
}

static void write_far_behind_row(const udm_decode_args *args) {
  elements(args->backends[0].page_table_1)[args->page_table_stride - 1] = 7;
}

static void expect_stray(int64_t steps, int64_t spoil_step, spoil_function spoil, int64_t found,
                         bool or_before) {
  struct replay_result result;
  fixture_run(
      &(struct checked_replay){
          .steps = steps, .spoil_step = spoil_step, .spoil = spoil, .large_tables = true},
      &result);
  assert_int_equal(result.mismatches.count, 1);
  assert_int_equal(result.mismatches.first[0].place, OUTSIDE_EXTENT);
  assert_int_equal(result.mismatches.first[0].step, found);
  assert_int_equal(result.mismatches.first[0].or_before, or_before);
}

static void write_behind_last_row(const udm_decode_args *args) {
  elements(args->backends[1].real_page_table)[5 * args->real_page_table_stride] = 7;
}

static void write_into_gap(const udm_decode_args *args) {
  elements(args->backends[1].page_table_1)[length_of(args, 0) + ROW_GAP - 1] = 7;
}

static void test_strays_in_large_tables(void **state) {
  (void)state;
  /* the gap, in the step itself */
  expect_stray(STEPS, SPOIL_STEP, write_behind_row, SPOIL_STEP, false);
  expect_stray(STEPS, SPOIL_STEP, write_into_gap, SPOIL_STEP, false);
  /* the sweep after every hundredth step */
  expect_stray(STEPS, SPOIL_STEP, write_far_behind_row, 100, true);
  expect_stray(STEPS, 100, write_before_tensor, 100, true);
  /* the sweep at the end */
  expect_stray(STEPS, 101, write_far_behind_row, STEPS, true);
  expect_stray(STEPS, STEPS, write_behind_last_row, STEPS, true);
}

static void test_late_stray_in_words(void **state) {
  (void)state;
  const struct wrong_element stray = {.step = 100,
                                      .or_before = true,
                                      .place = OUTSIDE_EXTENT,
                                      .output = UDM_OUTPUT_PAGE_TABLE_1,
                                      .row = 3,
                                      .column = 70,
                                      .got = 7,
                                      .want = SENTINEL};
  char text[256];
  mismatch_describe(&stray, text, sizeof text);
  assert_string_equal(
      text,
      "step 100 or before, draft_decode, backend 0, page_table_1, row 3, column 70: 7 was "
      "written outside the stated columns");
}

/* ---- a stray write anywhere, at any step: always found, once ---- */

static uint64_t plant_random;

static int64_t draw(int64_t count) {
  return (int64_t)(random_next(&plant_random) % (uint64_t)count);
}

static int64_t tokens_of(const udm_decode_args *args, int64_t request) {
  if (args->extend_lens) return integer(args->extend_lens, args->extend_lens_type, request);
  return args->tokens_per_request > 0 ? args->tokens_per_request : 1;
}

/* The request whose query token has this row; -1: none. */
static int64_t request_of(const udm_decode_args *args, int64_t row) {
  for (int64_t i = 0; i < args->batch_size; ++i) {
    row -= tokens_of(args, i);
    if (row < 0) return i;
  }
  return -1;
}

static int64_t kv_length(const udm_decode_args *args, int64_t request) {
  const bool adds_tokens = args->mode == UDM_MODE_TARGET_VERIFY;
  return length_of(args, request) + (adds_tokens ? args->tokens_per_request : 0);
}

/* Columns of page_table_1 that the step had to write in this row. */
static int64_t extent_of(const udm_decode_args *args, int64_t row) {
  const int64_t request = request_of(args, row);
  int64_t extent = request >= 0 ? kv_length(args, request) : 0;
  for (int64_t i = 0; args->extent == UDM_EXTENT_BATCH_MAX && i < args->batch_size; ++i) {
    if (request >= 0 && kv_length(args, i) > extent) extent = kv_length(args, i);
  }
  return extent < args->max_len ? extent : args->max_len;
}

/* Mostly where a later step may write, and so hide it. */
static void plant_in_table(const udm_decode_args *args, const udm_backend_outputs *backend) {
  const bool pages = args->real_page_size > 1 && (!backend->page_table_1 || draw(2) == 0);
  const int64_t row = draw(args->mode == UDM_MODE_DECODE ? 5 : 5 * VERIFY_TOKENS);
  const int64_t slots = extent_of(args, row);
  const int64_t live = pages ? (slots + args->real_page_size - 1) / args->real_page_size : slots;
  const int64_t stride = pages ? args->real_page_table_stride : args->page_table_stride;
  const int64_t most = draw(4) == 0 ? stride : pages ? 240 / args->real_page_size : 240;
  const int64_t column = live < most ? live + draw(most - live) : stride - 1;
  elements(pages ? backend->real_page_table : backend->page_table_1)[row * stride + column] = 7;
}

static void plant_in_guard(const udm_decode_args *args, int backend) {
  CUdeviceptr pointer = 0;
  while (!pointer) pointer = pointer_of(args, backend, (int)draw(OUTPUT_COUNT));
  elements(pointer)[-1 - draw(GUARD_ELEMENTS)] = 7;
}

static void plant_a_stray(const udm_decode_args *args) {
  const int b = (int)draw(args->num_backends);
  const udm_backend_outputs *backend = &args->backends[b];
  const bool has_table = backend->page_table_1 || backend->real_page_table;
  if (has_table && draw(8) > 0) {
    plant_in_table(args, backend);
  } else {
    plant_in_guard(args, b);
  }
}

static void test_planted_strays(void **state) {
  (void)state;
  plant_random = 11;
  for (int i = 0; i < PLANTED_STRAYS; ++i) {
    static const int32_t page_sizes[] = {1, 4, 16};
    const bool whole_step = draw(6) == 0; /* these are slow */
    const struct checked_replay replay = {
        .extent = draw(2) ? UDM_EXTENT_BATCH_MAX : UDM_EXTENT_ROW,
        .steps = STEPS,
        .spoil_step = 1 + draw(STEPS),
        .spoil = plant_a_stray,
        .large_tables = true,
        .page_size = page_sizes[draw(3)],
        .pool_tokens = draw(2) ? 0 : 320,
        .max_len = draw(3) ? 0 : 100,
        .no_page_table_1 = draw(4) == 0,
        .seq_lens_type = draw(2) ? UDM_INT64 : UDM_INT32,
        .whole_step = whole_step,
        .static_extend = draw(2),
        .schedule = UDM_SCHEDULE_SM90,
        .spoil_phase = whole_step ? (enum step_phase)draw(3) : DRAFT_DECODE};
    struct replay_result result;
    fixture_run(&replay, &result);
    if (result.mismatches.count != 1)
      fail_msg("stray %d: %d found", i, (int)result.mismatches.count);
    assert_int_equal(result.mismatches.first[0].place, OUTSIDE_EXTENT);
    assert_true(result.mismatches.first[0].step >= replay.spoil_step);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_strays_in_large_tables),
      cmocka_unit_test(test_late_stray_in_words),
      cmocka_unit_test(test_planted_strays),
  };
  return cmocka_run_group_tests_name("checker_strays", tests, NULL, NULL);
}
