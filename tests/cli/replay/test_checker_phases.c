/*
 * test_checker_phases.c: the checker over a whole step: it must find a wrong element of each output
 * in each phase, and nothing else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "checker_fixture.h"
#include "cmocka_headers.h"
#include "replay/device/output_tensors.h"

enum { STEPS = 130, SPOIL_STEP = 41, VERIFY_TOKENS = 4 };

/* Calls body with every kind of whole step. */
static void for_each_kind(void (*body)(const struct checked_replay *kind)) {
  for (int bits = 0; bits < 16; ++bits) {
    const struct checked_replay kind = {
        .whole_step = true,
        .steps = STEPS,
        .extent = bits & 1 ? UDM_EXTENT_BATCH_MAX : UDM_EXTENT_ROW,
        .static_extend = bits & 2,
        .schedule = bits & 4 ? UDM_SCHEDULE_SM100 : UDM_SCHEDULE_SM90,
        .schedule_requests = bits & 8,
    };
    body(&kind);
  }
}

static void run_spoilt(const struct checked_replay *kind, enum step_phase phase,
                       spoil_function spoil, struct replay_result *result) {
  struct checked_replay replay = *kind;
  replay.steps = SPOIL_STEP + 1;
  replay.spoil_step = SPOIL_STEP;
  replay.spoil_phase = phase;
  replay.spoil = spoil;
  fixture_run(&replay, result);
}

static void expect_right(const struct checked_replay *kind) {
  struct replay_result result;
  fixture_run(kind, &result);
  assert_int_equal(result.mismatches.count, 0);
  assert_int_equal(result.steps, STEPS);
  for (int p = 0; p < PHASE_COUNT; ++p) {
    assert_int_equal(result.launches[p], STEPS);
    assert_int_equal(result.checked[p], STEPS);
  }
  /* and the steps are not trivial ones */
  assert_true(result.counts.finished > 20);
  assert_int_equal(result.max_batch_seen, 5);
  assert_true(result.counts.generated / STEPS >= 2);
}

static void test_right_outputs_pass(void **state) {
  (void)state;
  for_each_kind(expect_right);
}

static void test_small_pool_and_each_kind_of_call(void **state) {
  (void)state;
  for (int bits = 0; bits < 16; ++bits) {
    const struct checked_replay replay = {
        .whole_step = true,
        .schedule = UDM_SCHEDULE_SM90,
        .steps = STEPS,
        .static_extend = bits & 1,
        .table_entry = bits & 2,
        .extent = bits & 4 ? UDM_EXTENT_BATCH_MAX : UDM_EXTENT_ROW,
        .page_size = bits & 8 ? 1 : 4,
        .pool_tokens = 320,
        .max_len = bits & 1 ? 100 : 0,
        .no_page_table_1 = (bits & 10) == 2,
        .seq_lens_type = bits & 2 ? UDM_INT64 : UDM_INT32};
    struct replay_result result;
    fixture_run(&replay, &result);
    assert_int_equal(result.mismatches.count, 0);
    assert_true(result.counts.preempted > 0);
  }
}

/* ---- the phases of a step belong together: the same step of replays of the same seed ---- */

static int64_t drafted_from[5];

static void remember_lengths(const udm_decode_args *args) {
  assert_int_equal(args->batch_size, 5);
  for (int32_t i = 0; i < args->batch_size; ++i) drafted_from[i] = length_of(args, i);
}

static void see_verify(const udm_decode_args *args) {
  assert_int_equal(args->tokens_per_request, VERIFY_TOKENS);
  for (int32_t i = 0; i < args->batch_size; ++i) {
    assert_int_equal(length_of(args, i), drafted_from[i]);
  }
}

static void see_ragged_extend(const udm_decode_args *args) {
  assert_int_equal(args->num_tokens, 5 * VERIFY_TOKENS);
  for (int32_t i = 0; i < args->batch_size; ++i) {
    const int64_t accepted = integer(args->extend_lens, args->extend_lens_type, i);
    assert_in_range(accepted, 1, VERIFY_TOKENS);
    assert_int_equal(length_of(args, i), drafted_from[i] + accepted);
  }
}

static void see_static_extend(const udm_decode_args *args) {
  assert_int_equal(args->tokens_per_request, VERIFY_TOKENS);
  for (int32_t i = 0; i < args->batch_size; ++i) {
    assert_int_equal(length_of(args, i), drafted_from[i] + VERIFY_TOKENS);
  }
}

static void test_phases_of_a_step(void **state) {
  (void)state;
  struct checked_replay kind = {.whole_step = true, .schedule = UDM_SCHEDULE_SM90, .steps = STEPS};
  struct replay_result result;
  run_spoilt(&kind, DRAFT_DECODE, remember_lengths, &result);
  run_spoilt(&kind, TARGET_VERIFY, see_verify, &result);
  run_spoilt(&kind, DRAFT_EXTEND, see_ragged_extend, &result);
  kind.static_extend = true;
  run_spoilt(&kind, DRAFT_EXTEND, see_static_extend, &result);
}

/* ---- a wrong value in each output of each phase ---- */

static int spoilt_output;
static int64_t spoilt_element;

static void flip_an_element(const udm_decode_args *args) {
  elements(pointer_of(args, 0, spoilt_output))[spoilt_element] ^= 1;
}

static void expect_flip_is_found(const struct checked_replay *kind, enum step_phase phase,
                                 int output, int64_t element) {
  struct replay_result result;
  spoilt_output = output;
  spoilt_element = element;
  run_spoilt(kind, phase, flip_an_element, &result);
  assert_int_equal(result.mismatches.count, 1);
  for (int p = 0; p < PHASE_COUNT; ++p) {
    assert_int_equal(result.mismatches.of_phase[p], p == (int)phase ? 1 : 0);
  }
  const struct wrong_element *found = &result.mismatches.first[0];
  assert_int_equal(found->phase, phase);
  assert_int_equal(found->output, output);
  assert_int_equal(found->backend, 0);
  assert_int_equal(found->column, element);
  assert_int_equal(found->place, IN_VALUES);
  assert_int_equal(found->step, SPOIL_STEP);
}

static void expect_flips_are_found(const struct checked_replay *kind) {
  for (int p = 0; p < PHASE_COUNT; ++p) {
    for (int output = 0; output < OUTPUT_COUNT; ++output) {
      expect_flip_is_found(kind, (enum step_phase)p, output, 0);
      expect_flip_is_found(kind, (enum step_phase)p, output, 1);
    }
    /* the end of the last SM: fixture devices have 132 */
    expect_flip_is_found(kind, (enum step_phase)p, OUTPUT_SCHEDULE, 264);
  }
}

static void test_wrong_value_in_each_output_of_each_phase(void **state) {
  (void)state;
  for_each_kind(expect_flips_are_found);
}

/* ---- rows behind the last query token of a ragged batch ---- */

static int64_t sum_of_extend_lens(const udm_decode_args *args) {
  int64_t sum = 0;
  assert_int_not_equal(args->extend_lens, 0);
  for (int32_t i = 0; i < args->batch_size; ++i) sum += elements(args->extend_lens)[i];
  assert_in_range(sum, args->batch_size, args->num_tokens - 1);
  return sum;
}

static void write_behind_query_tokens(const udm_decode_args *args) {
  const int64_t row = sum_of_extend_lens(args);
  elements(args->backends[0].page_table_1)[row * args->page_table_stride] = 7;
}

static void forget_a_zero(const udm_decode_args *args) {
  elements(args->backends[0].seqlens_expanded)[sum_of_extend_lens(args)] = SENTINEL;
}

static void write_behind_tokens(const udm_decode_args *args) {
  elements(args->extra[0].paged_mqa_ctx_lens)[args->num_tokens] = 7;
}

static void expect_one(spoil_function spoil, int output, enum mismatch_place place) {
  const struct checked_replay kind = {
      .whole_step = true, .schedule = UDM_SCHEDULE_SM90, .steps = STEPS};
  struct replay_result result;
  run_spoilt(&kind, DRAFT_EXTEND, spoil, &result);
  assert_int_equal(result.mismatches.count, 1);
  assert_int_equal(result.mismatches.first[0].output, output);
  assert_int_equal(result.mismatches.first[0].place, place);
  assert_int_equal(result.mismatches.first[0].step, SPOIL_STEP);
}

static void test_behind_the_query_tokens(void **state) {
  (void)state;
  expect_one(write_behind_query_tokens, UDM_OUTPUT_PAGE_TABLE_1, OUTSIDE_EXTENT);
  expect_one(forget_a_zero, UDM_OUTPUT_SEQLENS_EXPANDED, IN_VALUES);
  expect_one(write_behind_tokens, OUTPUT_CTX_LENS, OUTSIDE_EXTENT);
}

/* ---- the inputs are not believed ---- */

static void run_again(const udm_decode_args *args) {
  assert_int_equal(udm_decode_metadata_reference(args), UDM_OK);
}

static void extend_all(const udm_decode_args *args) {
  udm_decode_args other = *args;
  other.extend_lens = 0;
  other.num_tokens = 0;
  other.tokens_per_request = VERIFY_TOKENS;
  run_again(&other);
}

static void verify_fewer(const udm_decode_args *args) {
  udm_decode_args other = *args;
  other.tokens_per_request = VERIFY_TOKENS - 1;
  run_again(&other);
}

static void schedule_otherwise(const udm_decode_args *args) {
  udm_decode_args other = *args;
  other.schedule_variant = UDM_SCHEDULE_SM100;
  run_again(&other);
}

static void misread_new_slot(const udm_decode_args *args) {
  const int64_t row = *(const int64_t *)(uintptr_t)args->req_pool_indices;
  int32_t *slot = elements(args->req_to_token) + row * args->req_to_token_stride +
                  length_of(args, 0) + VERIFY_TOKENS - 1;
  const int32_t kept = *slot;
  *slot = 12345;
  run_again(args);
  *slot = kept;
}

static void test_inputs_are_not_believed(void **state) {
  (void)state;
  const struct checked_replay kind = {
      .whole_step = true, .schedule = UDM_SCHEDULE_SM90, .steps = STEPS};
  struct replay_result result;
  run_spoilt(&kind, DRAFT_EXTEND, extend_all, &result);
  assert_true(result.mismatches.of_phase[DRAFT_EXTEND] > 0);
  run_spoilt(&kind, TARGET_VERIFY, verify_fewer, &result);
  assert_true(result.mismatches.of_phase[TARGET_VERIFY] > 0);
  run_spoilt(&kind, DRAFT_DECODE, schedule_otherwise, &result);
  assert_true(result.mismatches.of_phase[DRAFT_DECODE] > 0);
  assert_int_equal(result.mismatches.first[0].output, OUTPUT_SCHEDULE);
  /* the slot of the last token to be verified, in the rows of all of them */
  run_spoilt(&kind, TARGET_VERIFY, misread_new_slot, &result);
  assert_in_range(result.mismatches.of_phase[TARGET_VERIFY], VERIFY_TOKENS, 2 * VERIFY_TOKENS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_right_outputs_pass),
      cmocka_unit_test(test_small_pool_and_each_kind_of_call),
      cmocka_unit_test(test_phases_of_a_step),
      cmocka_unit_test(test_wrong_value_in_each_output_of_each_phase),
      cmocka_unit_test(test_behind_the_query_tokens),
      cmocka_unit_test(test_inputs_are_not_believed),
  };
  return cmocka_run_group_tests_name("checker_phases", tests, NULL, NULL);
}
