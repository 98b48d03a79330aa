/*
 * Continuous batching: what must hold at every step, whatever the trace.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "cmocka_headers.h"
#include "replay/run.h"
#include "replay/scheduler.h"

enum { kRequests = 60 };

static const scheduler_options kOptions = {.max_batch = 6,
                                           .max_context = 90,
                                           .page_size = 4,
                                           .pool_pages = 60,
                                           .draft_tokens = 3,
                                           .seed = 5,
                                           .loop = false};

static void make_trace(trace_request *requests) {
  for (int32_t i = 0; i < kRequests; ++i) {
    requests[i] = (trace_request){.input_length = i * 7 % 41, .output_length = 1 + i * 13 % 50};
  }
  requests[10] = (trace_request){80, 11}; /* one token too long */
  requests[11] = (trace_request){80, 10};
  requests[12] = (trace_request){30, 0}; /* has nothing to decode */
}

/* No page is held twice, every request has the pages of its tokens, rows are its own. */
static void check_books(const batch_scheduler *scheduler) {
  bool *held = calloc((size_t)kOptions.pool_pages + 1, sizeof(*held));
  int32_t held_count = 0;
  assert_non_null(held);
  assert_in_range(scheduler->running_count, 1, kOptions.max_batch);
  for (int32_t i = 0; i < scheduler->running_count; ++i) {
    const decode_request *request = scheduler->running[i];
    assert_ptr_equal(scheduler->row_owner[request->row], request);
    assert_int_equal(request->tokens, request->input_length + request->generated);
    assert_true(request->generated <= request->output_length);
    assert_true(request->tokens <= kOptions.max_context);
    assert_int_equal(request->pages.count, pages_for(request->tokens, kOptions.page_size));
    for (int32_t page = 0; page < request->pages.count; ++page) {
      const int32_t id = request->pages.pages[page];
      assert_in_range(id, 1, kOptions.pool_pages);
      assert_false(held[id]);
      held[id] = true;
      ++held_count;
    }
  }
  assert_int_equal(held_count + scheduler->pages.count, kOptions.pool_pages);
  assert_int_equal(scheduler->running_count + scheduler->rows.count, kOptions.max_batch);
  free(held);
}

static void test_books_hold_to_the_end(void **state) {
  (void)state;
  trace_request requests[kRequests];
  make_trace(requests);
  const request_trace trace = {"CSV", requests, kRequests};
  batch_scheduler scheduler;
  scheduler_status status;
  assert_true(scheduler_create(&scheduler, &kOptions, &trace));
  while ((status = scheduler_step(&scheduler)) == kStepReady) check_books(&scheduler);
  assert_int_equal(status, kTraceDone);
  assert_int_equal(scheduler.counts.finished, kRequests - 1);
  assert_int_equal(scheduler.counts.rejected, 1);
  assert_true(scheduler.counts.preempted > 0);
  assert_int_equal(scheduler.counts.admitted,
                   scheduler.counts.finished - 1 + scheduler.counts.preempted);
  assert_int_equal(scheduler.pages.count, kOptions.pool_pages);
  assert_int_equal(scheduler.rows.count, kOptions.max_batch);
  scheduler_destroy(&scheduler);
}

static void test_same_seed_same_course(void **state) {
  (void)state;
  trace_request requests[kRequests];
  make_trace(requests);
  const request_trace trace = {"CSV", requests, kRequests};
  batch_scheduler a;
  batch_scheduler b;
  assert_true(scheduler_create(&a, &kOptions, &trace));
  assert_true(scheduler_create(&b, &kOptions, &trace));
  for (int step = 0; step < 50; ++step) {
    assert_int_equal(scheduler_step(&a), kStepReady);
    assert_int_equal(scheduler_step(&b), kStepReady);
    assert_int_equal(a.running_count, b.running_count);
    assert_int_equal(a.running[0]->tokens, b.running[0]->tokens);
  }
  scheduler_destroy(&a);
  scheduler_destroy(&b);
}

static void test_trace_starts_again(void **state) {
  (void)state;
  trace_request requests[] = {{5, 2}, {9, 3}};
  const request_trace trace = {"CSV", requests, 2};
  scheduler_options options = kOptions;
  batch_scheduler scheduler;
  options.loop = true;
  assert_true(scheduler_create(&scheduler, &options, &trace));
  for (int step = 0; step < 100; ++step) assert_int_equal(scheduler_step(&scheduler), kStepReady);
  assert_true(scheduler.counts.passes > 10);
  scheduler_destroy(&scheduler);
}

static void test_graph_batch_sizes(void **state) {
  (void)state;
  static const int32_t kSizes[][2] = {{1, 1},   {2, 2},   {3, 4},    {4, 4},   {5, 8},
                                      {8, 8},   {9, 12},  {12, 12},  {13, 16}, {17, 24},
                                      {24, 24}, {25, 32}, {97, 104}, {99, 104}};
  for (size_t i = 0; i < sizeof(kSizes) / sizeof(kSizes[0]); ++i) {
    assert_int_equal(replay_graph_batch_size(kSizes[i][0], 1000), kSizes[i][1]);
  }
  assert_int_equal(replay_graph_batch_size(97, 100), 100); /* the largest is a size, too */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_books_hold_to_the_end),
      cmocka_unit_test(test_same_seed_same_course),
      cmocka_unit_test(test_trace_starts_again),
      cmocka_unit_test(test_graph_batch_sizes),
  };
  return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}
