/*
 * test_scheduler.c: continuous batching: what must hold at every step of any trace.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "cmocka_headers.h"
#include "replay/run.h"
#include "replay/scheduler/scheduler.h"

enum { REQUESTS = 60 };

static const struct scheduler_options long_options = {.max_batch = 6,
                                                      .max_context = 90,
                                                      .page_size = 4,
                                                      .pool_pages = 60,
                                                      .draft_tokens = 3,
                                                      .seed = 5,
                                                      .loop = false};

static void make_trace(struct trace_request *requests) {
  for (int32_t i = 0; i < REQUESTS; ++i) {
    requests[i] =
        (struct trace_request){.input_length = i * 7 % 41, .output_length = 1 + i * 13 % 50};
  }
  requests[10] = (struct trace_request){80, 11}; /* one token too long */
  requests[11] = (struct trace_request){80, 10};
}

/* No page is held twice, every request has the pages of its slots, rows are its own. */
static void check_books(const struct batch_scheduler *scheduler) {
  bool *held = calloc((size_t)long_options.pool_pages + 1, sizeof *held);
  int32_t held_count = 0;
  assert_non_null(held);
  assert_in_range(scheduler->running_count, 1, long_options.max_batch);
  for (int32_t i = 0; i < scheduler->running_count; ++i) {
    const struct decode_request *request = scheduler->running[i];
    assert_ptr_equal(scheduler->row_owner[request->row], request);
    assert_int_equal(request->tokens, request->input_length + request->generated);
    assert_true(request->generated <= request->output_length);
    assert_true(request->tokens <= long_options.max_context);
    assert_true(request->slots >= request->tokens);
    assert_true(request->slots <= scheduler_most_slots(&scheduler->options, 90));
    assert_int_equal(request->pages.count, pages_for(request->slots, long_options.page_size));
    for (int32_t page = 0; page < request->pages.count; ++page) {
      const int32_t id = request->pages.pages[page];
      assert_in_range(id, 1, long_options.pool_pages);
      assert_false(held[id]);
      held[id] = true;
      ++held_count;
    }
  }
  assert_int_equal(held_count + scheduler->pages.count, long_options.pool_pages);
  assert_int_equal(scheduler->running_count + scheduler->rows.count, long_options.max_batch);
  free(held);
}

static void test_books_hold_to_the_end(void **state) {
  (void)state;
  struct trace_request requests[REQUESTS];
  make_trace(requests);
  const struct request_trace trace = {"CSV", requests, REQUESTS, 0};
  struct batch_scheduler scheduler;
  enum scheduler_status status;
  assert_true(scheduler_create(&scheduler, &long_options, &trace));
  while ((status = scheduler_step(&scheduler)) == STEP_READY) check_books(&scheduler);
  assert_int_equal(status, TRACE_DONE);
  assert_int_equal(scheduler.counts.finished, REQUESTS - 1);
  assert_int_equal(scheduler.counts.rejected, 1);
  assert_true(scheduler.counts.preempted > 0);
  assert_int_equal(scheduler.counts.admitted,
                   scheduler.counts.finished + scheduler.counts.preempted);
  assert_int_equal(scheduler.pages.count, long_options.pool_pages);
  assert_int_equal(scheduler.rows.count, long_options.max_batch);
  scheduler_destroy(&scheduler);
}

static void test_whole_steps_hold_to_the_end(void **state) {
  (void)state;
  struct trace_request requests[REQUESTS];
  make_trace(requests);
  const struct request_trace trace = {"CSV", requests, REQUESTS, 0};
  struct scheduler_options options = long_options;
  struct batch_scheduler scheduler;
  enum scheduler_status status;
  int64_t accepted_all = 0;
  options.whole_step = true;
  assert_true(scheduler_create(&scheduler, &options, &trace));
  while ((status = scheduler_step(&scheduler)) == STEP_READY) {
    check_books(&scheduler);
    for (int32_t i = 0; i < scheduler.running_count; ++i) {
      assert_int_equal(scheduler.running[i]->slots, scheduler.running[i]->tokens + 4);
    }
    scheduler_accept(&scheduler);
    check_books(&scheduler);
    for (int32_t i = 0; i < scheduler.running_count; ++i) {
      const struct decode_request *request = scheduler.running[i];
      assert_in_range(request->accepted, 1, 4);
      assert_int_equal(request->slots - request->tokens, 4 - request->accepted);
      accepted_all += request->accepted == 4;
    }
  }
  assert_int_equal(status, TRACE_DONE);
  assert_int_equal(scheduler.counts.finished, REQUESTS - 1);
  assert_true(scheduler.counts.preempted > 0);
  assert_true(accepted_all > 0);
  assert_int_equal(scheduler.pages.count, long_options.pool_pages);
  scheduler_destroy(&scheduler);
}

static void test_pool_must_hold_the_last_step(void **state) {
  (void)state;
  struct scheduler_options options = long_options;
  const struct trace_request request = {20, 4};
  options.pool_pages = 6; /* 24 tokens */
  assert_true(scheduler_accepts(&options, &request));
  options.whole_step = true; /* and what the last step verifies: 23 + 4 */
  assert_false(scheduler_accepts(&options, &request));
  options.pool_pages = 7;
  assert_true(scheduler_accepts(&options, &request));
}

static void test_same_seed_same_course(void **state) {
  (void)state;
  struct trace_request requests[REQUESTS];
  make_trace(requests);
  const struct request_trace trace = {"CSV", requests, REQUESTS, 0};
  struct batch_scheduler a;
  struct batch_scheduler b;
  assert_true(scheduler_create(&a, &long_options, &trace));
  assert_true(scheduler_create(&b, &long_options, &trace));
  for (int step = 0; step < 50; ++step) {
    assert_int_equal(scheduler_step(&a), STEP_READY);
    assert_int_equal(scheduler_step(&b), STEP_READY);
    assert_int_equal(a.running_count, b.running_count);
    assert_int_equal(a.running[0]->tokens, b.running[0]->tokens);
  }
  scheduler_destroy(&a);
  scheduler_destroy(&b);
}

static void test_trace_starts_again(void **state) {
  (void)state;
  struct trace_request requests[] = {{5, 2}, {9, 3}};
  const struct request_trace trace = {"CSV", requests, 2, 0};
  struct scheduler_options options = long_options;
  struct batch_scheduler scheduler;
  options.loop = true;
  assert_true(scheduler_create(&scheduler, &options, &trace));
  for (int step = 0; step < 100; ++step) assert_int_equal(scheduler_step(&scheduler), STEP_READY);
  assert_true(scheduler.counts.passes > 10);
  scheduler_destroy(&scheduler);
}

static void test_graph_batch_sizes(void **state) {
  (void)state;
  static const int32_t sizes[][2] = {{1, 1},   {2, 2},   {3, 4},    {4, 4},   {5, 8},
                                     {8, 8},   {9, 12},  {12, 12},  {13, 16}, {17, 24},
                                     {24, 24}, {25, 32}, {97, 104}, {99, 104}};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    assert_int_equal(replay_graph_batch_size(sizes[i][0], 1000), sizes[i][1]);
  }
  assert_int_equal(replay_graph_batch_size(97, 100), 100); /* the largest is a size, too */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_books_hold_to_the_end),
      cmocka_unit_test(test_whole_steps_hold_to_the_end),
      cmocka_unit_test(test_pool_must_hold_the_last_step),
      cmocka_unit_test(test_same_seed_same_course),
      cmocka_unit_test(test_trace_starts_again),
      cmocka_unit_test(test_graph_batch_sizes),
  };
  return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}
