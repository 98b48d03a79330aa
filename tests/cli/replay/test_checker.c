/*
 * test_checker.c: the checker itself: it must find every kind of wrong output at its
 * place, and nothing else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "checker_fixture.h"
#include "cmocka_headers.h"
#include "replay/device/output_tensors.h"

enum { STEPS = 130, SPOIL_STEP = 41 };

/* The replay with the fault: one mismatch, and it is the one that is wanted. */
static void expect_one(udm_extent extent, spoil_function spoil, const struct wrong_element *want) {
  struct replay_result result;
  fixture_run(
      &(struct checked_replay){
          .extent = extent, .steps = STEPS, .spoil_step = SPOIL_STEP, .spoil = spoil},
      &result);
  assert_int_equal(result.mismatches.count, 1);
  const struct wrong_element *got = &result.mismatches.first[0];
  assert_int_equal(got->backend, want->backend);
  assert_int_equal(got->output, want->output);
  assert_int_equal(got->row, want->row);
  assert_int_equal(got->column, want->column);
  assert_int_equal(got->place, want->place);
  assert_int_equal(got->step, want->step);
  assert_false(got->or_before);
}

static void test_right_outputs_pass(void **state) {
  (void)state;
  for (int extent = UDM_EXTENT_ROW; extent <= UDM_EXTENT_BATCH_MAX; ++extent) {
    struct replay_result result;
    fixture_run(&(struct checked_replay){.extent = (udm_extent)extent, .steps = STEPS}, &result);
    assert_int_equal(result.steps, STEPS);
    assert_int_equal(result.checked[DRAFT_DECODE], STEPS);
    assert_int_equal(result.mismatches.count, 0);
    /* and the steps are not trivial ones */
    assert_true(result.counts.finished > 20);
    assert_int_equal(result.max_batch_seen, 5);
  }
}

/* ---- a wrong value in each output ---- */

static int spoilt_output;

static void flip_an_element(const udm_decode_args *args) {
  elements(pointer_of(args, 1, spoilt_output))[1] ^= 1;
}

static void test_wrong_value_in_each_output(void **state) {
  (void)state;
  for (int output = 0; output < UDM_OUTPUTS_PER_BACKEND; ++output) {
    const bool has_rows = output == UDM_OUTPUT_PAGE_TABLE_1 || output == UDM_OUTPUT_REAL_PAGE_TABLE;
    spoilt_output = output;
    expect_one(UDM_EXTENT_ROW, flip_an_element,
               &(struct wrong_element){.step = SPOIL_STEP,
                                       .place = IN_VALUES,
                                       .backend = 1,
                                       .output = output,
                                       .row = has_rows ? 0 : -1,
                                       .column = 1});
    expect_one(UDM_EXTENT_BATCH_MAX, flip_an_element,
               &(struct wrong_element){.step = SPOIL_STEP,
                                       .place = IN_VALUES,
                                       .backend = 1,
                                       .output = output,
                                       .row = has_rows ? 0 : -1,
                                       .column = 1});
  }
}

static void flip_last_slot(const udm_decode_args *args) {
  elements(args->backends[0].page_table_1)[length_of(args, 0) - 1] ^= 1;
}

static void test_wrong_last_column(void **state) {
  (void)state;
  struct replay_result result;
  fixture_run(
      &(struct checked_replay){.steps = STEPS, .spoil_step = SPOIL_STEP, .spoil = flip_last_slot},
      &result);
  assert_int_equal(result.mismatches.count, 1);
  assert_int_equal(result.mismatches.first[0].place, IN_VALUES);
}

/* ---- something is missing ---- */

static void forget_a_row(const udm_decode_args *args) {
  for (int32_t i = 0; i < length_of(args, 0); ++i) {
    elements(args->backends[1].page_table_1)[i] = SENTINEL;
  }
}

static void test_missing_row(void **state) {
  (void)state;
  struct replay_result result;
  fixture_run(
      &(struct checked_replay){.steps = STEPS, .spoil_step = SPOIL_STEP, .spoil = forget_a_row},
      &result);
  assert_true(result.mismatches.count > 1);
  assert_int_equal(result.mismatches.first[0].got, SENTINEL);
  char text[256];
  mismatch_describe(&result.mismatches.first[0], text, sizeof text);
  assert_non_null(strstr(text, "backend 1, page_table_1, row 0, column 0: nothing was written"));
}

/* ---- a stale value of the step before would be right by chance: it must not count ---- */

static udm_decode_args earlier;

static void remember_nothing_written(const udm_decode_args *args) {
  earlier = *args;
  for (int32_t i = 0; i < args->batch_size; ++i) {
    elements(args->backends[0].seqlens_expanded)[i] = SENTINEL;
  }
}

static void test_unwritten_tensor(void **state) {
  (void)state;
  struct replay_result result;
  fixture_run(
      &(struct checked_replay){
          .steps = STEPS, .spoil_step = SPOIL_STEP, .spoil = remember_nothing_written},
      &result);
  assert_int_equal(result.mismatches.count, earlier.batch_size);
  assert_int_equal(result.mismatches.first[0].output, UDM_OUTPUT_SEQLENS_EXPANDED);
}

/* ---- writes outside ---- */

static void write_before_tensor(const udm_decode_args *args) {
  elements(args->backends[0].page_table_1)[-1] = 7;
}

static void write_behind_lengths(const udm_decode_args *args) {
  elements(args->backends[0].cache_seqlens)[args->batch_size] = 7;
}

static void write_behind_row(const udm_decode_args *args) {
  elements(args->backends[1].page_table_1)[length_of(args, 0)] = 7;
}

static void write_far_behind_row(const udm_decode_args *args) {
  elements(args->backends[0].page_table_1)[args->page_table_stride - 1] = 7;
}

static void write_behind_tensor(const udm_decode_args *args) {
  elements(args->backends[1].real_page_table)[5 * args->real_page_table_stride + 63] = 7;
}

static void write_to_unused_row(const udm_decode_args *args) {
  elements(args->backends[1].real_page_table)[5 * args->real_page_table_stride - 1] = 7;
}

static void test_stray_writes(void **state) {
  (void)state;
  struct replay_result probe;
  fixture_run(&(struct checked_replay){.steps = 1}, &probe);
  const int64_t stride = probe.scheduler.max_context + ROW_GAP;
  /* looked at each step */
  expect_one(UDM_EXTENT_ROW, write_behind_lengths,
             &(struct wrong_element){.step = SPOIL_STEP,
                                     .place = OUTSIDE_EXTENT,
                                     .output = UDM_OUTPUT_CACHE_SEQLENS,
                                     .row = -1,
                                     .column = 5});
  struct replay_result result;
  fixture_run(
      &(struct checked_replay){.steps = STEPS, .spoil_step = SPOIL_STEP, .spoil = write_behind_row},
      &result);
  assert_int_equal(result.mismatches.count, 1);
  assert_int_equal(result.mismatches.first[0].step, SPOIL_STEP);
  assert_int_equal(result.mismatches.first[0].place, OUTSIDE_EXTENT);
  /* small tables are swept in the step itself */
  expect_one(UDM_EXTENT_ROW, write_before_tensor,
             &(struct wrong_element){.step = SPOIL_STEP,
                                     .place = OUTSIDE_EXTENT,
                                     .output = UDM_OUTPUT_PAGE_TABLE_1,
                                     .row = -1,
                                     .column = -1});
  expect_one(UDM_EXTENT_ROW, write_far_behind_row,
             &(struct wrong_element){.step = SPOIL_STEP,
                                     .place = OUTSIDE_EXTENT,
                                     .output = UDM_OUTPUT_PAGE_TABLE_1,
                                     .row = 0,
                                     .column = stride - 1});
  const int64_t page_stride = probe.scheduler.max_context / 16 + ROW_GAP;
  expect_one(UDM_EXTENT_ROW, write_behind_tensor,
             &(struct wrong_element){.step = SPOIL_STEP,
                                     .place = OUTSIDE_EXTENT,
                                     .backend = 1,
                                     .output = UDM_OUTPUT_REAL_PAGE_TABLE,
                                     .row = -1,
                                     .column = 5 * page_stride + 63});
  expect_one(UDM_EXTENT_ROW, write_to_unused_row,
             &(struct wrong_element){.step = SPOIL_STEP,
                                     .place = OUTSIDE_EXTENT,
                                     .backend = 1,
                                     .output = UDM_OUTPUT_REAL_PAGE_TABLE,
                                     .row = 4,
                                     .column = page_stride - 1});
}

/* ---- the kinds of call ---- */

static void flip_behind_max_len(const udm_decode_args *args) {
  for (int32_t i = 0; i < args->batch_size; ++i) {
    if (elements(args->seq_lens)[i] <= args->max_len) continue;
    elements(args->backends[1].page_table_1)[i * args->page_table_stride + args->max_len] = 7;
    return;
  }
  fail_msg("no row is longer than max_len");
}

static void test_clamped_tables(void **state) {
  (void)state;
  struct replay_result result;
  fixture_run(&(struct checked_replay){.steps = STEPS, .max_len = 50}, &result);
  assert_int_equal(result.max_len, 50);
  assert_true(result.max_seq_len_seen > 200);
  assert_int_equal(result.mismatches.count, 0);
  fixture_run(
      &(struct checked_replay){
          .steps = STEPS, .spoil_step = SPOIL_STEP, .spoil = flip_behind_max_len, .max_len = 50},
      &result);
  assert_int_equal(result.mismatches.count, 1);
  assert_int_equal(result.mismatches.first[0].column, 50);
  assert_int_equal(result.mismatches.first[0].place, OUTSIDE_EXTENT);
  /* more than the tables have: all that they have */
  fixture_run(&(struct checked_replay){.steps = 1, .max_len = INT32_MAX}, &result);
  assert_int_equal(result.max_len, result.scheduler.max_context);
}

static void see_kind_of_call(const udm_decode_args *args) {
  assert_int_equal(args->seq_lens_type, UDM_INT64);
  assert_int_equal(args->backends[0].page_table_1, 0);
  assert_int_equal(args->page_table_stride, 0);
  /* an int64 in which the high half is no part of a neighbour */
  assert_true(length_of(args, 0) > 0 && length_of(args, 0) < 1000);
  elements(args->backends[1].real_page_table)[0] ^= 1;
}

static void test_int64_lengths_without_page_table_1(void **state) {
  (void)state;
  for (int table_entry = 0; table_entry < 2; ++table_entry) {
    struct replay_result result;
    fixture_run(&(struct checked_replay){.steps = STEPS,
                                         .spoil_step = SPOIL_STEP,
                                         .spoil = see_kind_of_call,
                                         .no_page_table_1 = true,
                                         .table_entry = table_entry == 1,
                                         .seq_lens_type = UDM_INT64},
                &result);
    assert_int_equal(result.checked[DRAFT_DECODE], STEPS);
    assert_int_equal(result.mismatches.count, 1);
    assert_int_equal(result.mismatches.first[0].output, UDM_OUTPUT_REAL_PAGE_TABLE);
  }
}

/* ---- the inputs are not believed: a wrong req_to_token or a wrong length is found ---- */

static void run_again_with(const udm_decode_args *args, int32_t *spoilt, int32_t value) {
  const int32_t kept = *spoilt;
  *spoilt = value;
  assert_int_equal(udm_decode_metadata_reference(args), UDM_OK);
  *spoilt = kept;
}

static void misread_req_to_token(const udm_decode_args *args) {
  const int64_t row = *(const int64_t *)(uintptr_t)args->req_pool_indices;
  run_again_with(args, elements(args->req_to_token) + row * args->req_to_token_stride, 12345);
}

static void misread_length(const udm_decode_args *args) {
  run_again_with(args, elements(args->seq_lens), (int32_t)length_of(args, 0) + 1);
}

static void test_inputs_are_not_believed(void **state) {
  (void)state;
  struct replay_result result;
  fixture_run(
      &(struct checked_replay){
          .steps = STEPS, .spoil_step = SPOIL_STEP, .spoil = misread_req_to_token},
      &result);
  /* one slot and one page in each of two backends */
  assert_int_equal(result.mismatches.count, 4);
  fixture_run(
      &(struct checked_replay){.steps = STEPS, .spoil_step = SPOIL_STEP, .spoil = misread_length},
      &result);
  assert_true(result.mismatches.count > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_right_outputs_pass),
      cmocka_unit_test(test_wrong_value_in_each_output),
      cmocka_unit_test(test_wrong_last_column),
      cmocka_unit_test(test_missing_row),
      cmocka_unit_test(test_unwritten_tensor),
      cmocka_unit_test(test_stray_writes),
      cmocka_unit_test(test_clamped_tables),
      cmocka_unit_test(test_int64_lengths_without_page_table_1),
      cmocka_unit_test(test_inputs_are_not_believed),
  };
  return cmocka_run_group_tests_name("checker", tests, NULL, NULL);
}
