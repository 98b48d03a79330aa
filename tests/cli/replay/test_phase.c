/*
 * test_phase.c: which query tokens a request has in each phase, on a hand-worked step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cmocka_headers.h"
#include "replay/scheduler/phase.h"

/* A request of 10 tokens verifies 4, of which 3 are accepted; one row of padding. */
static struct decode_request request = {.row = 1, .tokens = 10, .slots = 14};
static struct decode_request *running[] = {&request};
static struct decode_request *owners[] = {NULL, &request};

static struct batch_scheduler scheduler = {
    .options = {.max_batch = 2, .draft_tokens = 3, .whole_step = true},
    .running = running,
    .running_count = 1,
    .row_owner = owners};

struct wanted {
  int32_t count;
  int32_t kv_length;
  int32_t visible[4];
};

static void expect_request(const struct phase_request *got, int32_t row,
                           const struct decode_request *owner, const struct wanted *want) {
  assert_int_equal(got->row, row);
  assert_ptr_equal(got->owner, owner);
  assert_int_equal(got->count, want->count);
  assert_int_equal(phase_kv_length(got), want->kv_length);
  for (int32_t j = 0; j < want->count; ++j) {
    assert_int_equal(phase_visible_tokens(got, j), want->visible[j]);
  }
}

static void expect(enum step_phase phase, int32_t num_tokens, struct wanted of_request,
                   struct wanted of_padding) {
  struct phase_batch batch;
  assert_true(phase_batch_create(&batch, &scheduler));
  phase_batch_set(&batch, phase, 2);
  assert_int_equal(batch.size, 2);
  assert_int_equal(batch.num_tokens, num_tokens);
  expect_request(&batch.requests[0], 1, &request, &of_request);
  expect_request(&batch.requests[1], 0, NULL, &of_padding);
  phase_batch_destroy(&batch);
}

static void test_whole_step(void **state) {
  (void)state;
  request.tokens = 10;
  expect(DRAFT_DECODE, 2, (struct wanted){1, 10, {10}}, (struct wanted){1, 1, {1}});
  expect(TARGET_VERIFY, 8, (struct wanted){4, 14, {11, 12, 13, 14}},
         (struct wanted){4, 5, {2, 3, 4, 5}});
  request.tokens = 13;
  request.accepted = 3;
  expect(DRAFT_EXTEND, 8, (struct wanted){3, 13, {11, 12, 13}}, (struct wanted){1, 1, {1}});
  scheduler.options.static_extend = true;
  expect(DRAFT_EXTEND, 8, (struct wanted){4, 14, {11, 12, 13, 14}},
         (struct wanted){4, 1, {0, 0, 0, 1}});
  scheduler.options.static_extend = false;
}

static void test_draft_decode_alone(void **state) {
  (void)state;
  request.tokens = 10;
  scheduler.options.whole_step = false;
  expect(DRAFT_DECODE, 2, (struct wanted){1, 10, {10}}, (struct wanted){1, 0, {0}});
  scheduler.options.whole_step = true;
}

static void test_names(void **state) {
  (void)state;
  assert_string_equal(phase_name(DRAFT_DECODE), "draft_decode");
  assert_string_equal(phase_name(TARGET_VERIFY), "target_verify");
  assert_string_equal(phase_name(DRAFT_EXTEND), "draft_extend");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_whole_step),
      cmocka_unit_test(test_draft_decode_alone),
      cmocka_unit_test(test_names),
  };
  return cmocka_run_group_tests_name("phase", tests, NULL, NULL);
}
