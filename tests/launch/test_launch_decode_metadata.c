/*
 * test_launch_decode_metadata.c: the whole library over a driver: decode cases through the direct
 * and the pointer-table call, compared in every byte of their output memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "gpu_fixture.h"

static void check_random_cases(const struct gpu_session *session, bool table, int32_t mode) {
  const uint64_t cases = gpu_fixture_number("UDM_TEST_CASES", 100);
  struct case_runner runner = CASE_RUNNER_INIT(&session->driver, session->udm, session->stream);
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.table = table;
  request.mode = mode;
  for (request.seed = 1; request.seed <= cases; ++request.seed) {
    gpu_fixture_check_request(&runner, &request);
  }
  case_runner_release(&runner);
}

static void test_direct_matches_reference_on_random_cases(void **state) {
  check_random_cases(*state, false, DECODE_CASE_DECODE_ONLY);
}

static void test_table_matches_reference_on_random_cases(void **state) {
  check_random_cases(*state, true, DECODE_CASE_DECODE_ONLY);
}

static void test_every_mode_matches_reference_on_random_cases(void **state) {
  for (int32_t mode = UDM_MODE_DECODE; mode <= UDM_MODE_DRAFT_EXTEND; ++mode) {
    check_random_cases(*state, false, mode);
    check_random_cases(*state, true, mode);
  }
}

static void test_every_batch_size_to_300(void **state) {
  const struct gpu_session *session = *state;
  struct case_runner runner = CASE_RUNNER_INIT(&session->driver, session->udm, session->stream);
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.max_len_bound = 40;
  for (int32_t batch_size = 0; batch_size <= 300; ++batch_size) {
    request.batch_size = batch_size;
    request.seed = 1000 + (uint64_t)batch_size;
    request.table = batch_size % 2 == 1;
    request.mode = DECODE_CASE_DECODE_ONLY;
    gpu_fixture_check_request(&runner, &request);
    request.mode = batch_size / 2 % 3; /* a udm_mode */
    gpu_fixture_check_request(&runner, &request);
  }
  case_runner_release(&runner);
}

/*
 * With 8192 rows, each of the 32 pairs of length blocks has 256; with 8193, 17 pairs have up to
 * 512; 70000 exceed a grid's y.
 */
static void test_large_batches(void **state) {
  static const int32_t sizes[] = {513, 1000, 4096, 8192, 8193, 70000};
  const struct gpu_session *session = *state;
  struct case_runner runner = CASE_RUNNER_INIT(&session->driver, session->udm, session->stream);
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.max_len = 2;
  request.extent = UDM_EXTENT_ROW;
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
    request.batch_size = sizes[s];
    request.seed = 2000 + s;
    request.table = s % 2 == 0;
    request.mode = DECODE_CASE_DECODE_ONLY;
    gpu_fixture_check_request(&runner, &request);
    request.tokens_per_request = 4 * (int32_t)(s % 2); /* 0: ragged */
    for (request.mode = UDM_MODE_DECODE; request.mode <= UDM_MODE_DRAFT_EXTEND; ++request.mode) {
      gpu_fixture_check_request(&runner, &request);
    }
  }
  case_runner_release(&runner);
}

/* Aligned and misaligned tensors and odd strides, around the sizes at which rows are found anew. */
static void test_every_page_size_and_alignment(void **state) {
  static const int32_t page_sizes[] = {1, 3, 16, 64, 128, 256};
  static const int32_t sizes[] = {1, 33, 65, 129, 257};
  static const int32_t aligned[] = {0, 50, 100};
  const size_t size_count = sizeof sizes / sizeof sizes[0];
  const size_t aligned_count = sizeof aligned / sizeof aligned[0];
  const size_t cases = size_count * aligned_count * (sizeof page_sizes / sizeof page_sizes[0]);
  const struct gpu_session *session = *state;
  struct case_runner runner = CASE_RUNNER_INIT(&session->driver, session->udm, session->stream);
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.max_len_bound = 900;
  request.table_elements_bound = 60000;
  for (size_t c = 0; c < cases; ++c) {
    request.seed = 2100 + c;
    request.table = c % 2 == 1;
    request.batch_size = sizes[c % size_count];
    request.aligned_percent = aligned[c / size_count % aligned_count];
    request.real_page_size = page_sizes[c / size_count / aligned_count];
    request.mode = DECODE_CASE_DECODE_ONLY;
    gpu_fixture_check_request(&runner, &request);
    request.mode = DECODE_CASE_ANY;
    gpu_fixture_check_request(&runner, &request);
  }
  case_runner_release(&runner);
}

static void test_one_huge_row_among_many_small(void **state) {
  static const int32_t sizes[] = {31, 33, 64, 65, 129, 256, 257, 1000, 5000};
  const struct gpu_session *session = *state;
  struct case_runner runner = CASE_RUNNER_INIT(&session->driver, session->udm, session->stream);
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.last_row_longest = true;
  request.extent = UDM_EXTENT_ROW;
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
    request.batch_size = sizes[s];
    request.max_len = sizes[s] <= 300 ? 2000 : 300;
    request.num_backends = sizes[s] <= 300 ? 3 : 1;
    request.seed = 2300 + s;
    request.table = s % 2 == 1;
    request.mode = DECODE_CASE_DECODE_ONLY;
    gpu_fixture_check_request(&runner, &request);
    request.mode = DECODE_CASE_ANY;
    gpu_fixture_check_request(&runner, &request);
  }
  case_runner_release(&runner);
}

/* This table of each backend must keep its previous content. */
static void expect_unwritten(struct decode_case *c, int output, int64_t stride, int64_t columns) {
  for (int32_t b = 0; b < c->args.num_backends; ++b) {
    assert_true(c->output_offsets[b][output] != DECODE_CASE_NULL);
    for (int32_t i = 0; i < c->args.batch_size; ++i) {
      const size_t at = c->output_offsets[b][output] + sizeof(int32_t) * (size_t)(i * stride);
      memcpy(c->output_expected + at, c->output_before + at, sizeof(int32_t) * (size_t)columns);
    }
  }
}

/* The pointer-table call: a stride of 0 or a page size of 1, whatever pointers the table holds. */
static void test_unwanted_outputs_are_not_written(void **state) {
  const struct gpu_session *session = *state;
  struct case_runner runner = CASE_RUNNER_INIT(&session->driver, session->udm, session->stream);
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.seed = 4;
  request.table = true;
  request.batch_size = 9;
  request.max_len = 300;
  request.num_backends = 2;
  request.real_page_size = 16;
  struct decode_case *c = gpu_fixture_create_case(&request);
  gpu_fixture_check_case(&runner, c);
  const int64_t stride = c->args.real_page_table_stride;
  expect_unwritten(c, 5, stride, (300 + 15) / 16); /* real_page_table */
  c->args.real_page_table_stride = 0;
  gpu_fixture_check_case(&runner, c);
  c->args.real_page_table_stride = stride;
  c->args.real_page_size = 1;
  gpu_fixture_check_case(&runner, c);
  expect_unwritten(c, 2, c->args.page_table_stride, 300); /* page_table_1 */
  c->args.page_table_stride = 0;
  gpu_fixture_check_case(&runner, c);
  decode_case_destroy(c);
  case_runner_release(&runner);
}

static void test_the_default_stream_works(void **state) {
  const struct gpu_session *session = *state;
  struct case_runner runner = CASE_RUNNER_INIT(&session->driver, session->udm, NULL);
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.seed = 77;
  request.batch_size = 9;
  gpu_fixture_check_request(&runner, &request);
  case_runner_release(&runner);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_direct_matches_reference_on_random_cases),
      cmocka_unit_test(test_table_matches_reference_on_random_cases),
      cmocka_unit_test(test_every_mode_matches_reference_on_random_cases),
      cmocka_unit_test(test_every_batch_size_to_300),
      cmocka_unit_test(test_large_batches),
      cmocka_unit_test(test_every_page_size_and_alignment),
      cmocka_unit_test(test_one_huge_row_among_many_small),
      cmocka_unit_test(test_unwanted_outputs_are_not_written),
      cmocka_unit_test(test_the_default_stream_works),
  };
  gpu_fixture_skip_if_impossible();
  return cmocka_run_group_tests_name("decode metadata over a driver", tests, gpu_fixture_open,
                                     gpu_fixture_close);
}
