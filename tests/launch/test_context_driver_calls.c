/*
 * test_context_driver_calls.c: the driver calls of a launch, and a failing launch; tests/image
 * tests the same of udm_create. Needs the fake driver, which counts calls and injects faults.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>

#include "gpu_fixture.h"

enum { SKIPPED = 77 };

static int64_t (*count_calls)(const char *name);
static void (*reset_calls)(void);

/* POSIX lets a function's address travel as void *; ISO C has no cast for it. */
static bool find_counters(void) {
  void *count = NULL;
  void *reset = NULL;
  if (udm_driver_symbol(NULL, "fake_cuda_calls", &count) != UDM_OK) return false;
  if (udm_driver_symbol(NULL, "fake_cuda_reset_calls", &reset) != UDM_OK) return false;
  memcpy(&count_calls, &count, sizeof count);
  memcpy(&reset_calls, &reset, sizeof reset);
  return true;
}

/* A case in device memory, ready for a launch. */
struct uploaded_case {
  struct decode_case *c;
  struct case_runner runner;
  udm_decode_args args;
  CUdeviceptr pointers;
};

static void upload(const struct gpu_session *session, struct uploaded_case *u, bool table) {
  const struct case_runner runner =
      CASE_RUNNER_INIT(&session->driver, session->udm, session->stream);
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  request.table = table;
  request.batch_size = 5;
  request.max_len = 60;
  request.num_backends = 2;
  request.real_page_size = 16;
  u->runner = runner;
  u->c = gpu_fixture_create_case(&request);
  if (!case_runner_upload(&u->runner, u->c)) fail_msg("%s", u->runner.error);
  decode_case_bind(u->c, u->runner.outputs.memory, u->runner.inputs.memory, &u->args);
  u->pointers = u->runner.inputs.memory + u->c->backend_pointers_offset;
}

static void release(struct uploaded_case *u) {
  case_runner_release(&u->runner);
  decode_case_destroy(u->c);
}

static void test_a_launch_is_one_driver_call(void **state) {
  struct uploaded_case u;
  for (int table = 0; table <= 1; ++table) {
    upload(*state, &u, table != 0);
    reset_calls();
    for (int64_t launches = 1; launches <= 3; ++launches) {
      if (!case_runner_launch(&u.runner, u.c)) fail_msg("%s", u.runner.error);
      assert_int_equal(count_calls("cuLaunchKernel"), launches);
      assert_int_equal(count_calls(NULL), launches);
    }
    gpu_fixture_check_outputs(&u.runner, u.c);
    release(&u);
  }
}

/* The call must fail with the argument's name, without a driver call. */
static void check_refused(udm_status status, const char *argument) {
  assert_int_equal(status, UDM_ERROR_INVALID_ARGUMENT);
  if (!strstr(udm_last_error(), argument)) {
    fail_msg("'%s' does not name %s", udm_last_error(), argument);
  }
  assert_int_equal(count_calls(NULL), 0);
}

#define CHECK_REFUSED(field, value)                                                         \
  do {                                                                                      \
    udm_decode_args bad = u.args;                                                           \
    bad.field = value;                                                                      \
    check_refused(udm_decode_metadata_direct(session->udm, &bad, session->stream), #field); \
  } while (0)

static void test_bad_inputs_launch_nothing(void **state) {
  const struct gpu_session *session = *state;
  struct uploaded_case u;
  upload(session, &u, false);
  reset_calls();
  CHECK_REFUSED(struct_size, 0);
  CHECK_REFUSED(seq_lens, 0);
  CHECK_REFUSED(seq_lens, u.args.seq_lens + 2);
  CHECK_REFUSED(req_pool_indices, 0);
  CHECK_REFUSED(req_to_token, u.args.req_to_token + 1);
  CHECK_REFUSED(seq_lens_type, (udm_int_type)7);
  CHECK_REFUSED(req_pool_indices_type, (udm_int_type)-1);
  CHECK_REFUSED(req_to_token_stride, u.args.max_len - 1);
  check_refused(udm_decode_metadata_direct(NULL, &u.args, NULL), "ctx");
  check_refused(udm_decode_metadata_direct(session->udm, NULL, NULL), "args");
  release(&u);
}

static void test_bad_numbers_launch_nothing(void **state) {
  const struct gpu_session *session = *state;
  struct uploaded_case u;
  upload(session, &u, false);
  reset_calls();
  CHECK_REFUSED(batch_size, -1);
  CHECK_REFUSED(max_len, -1);
  CHECK_REFUSED(num_backends, 0);
  CHECK_REFUSED(num_backends, UDM_MAX_DIRECT_BACKENDS + 1);
  CHECK_REFUSED(nsa_index_topk, -1);
  CHECK_REFUSED(real_page_size, 0);
  CHECK_REFUSED(extent, (udm_extent)2);
  release(&u);
}

static void test_bad_outputs_launch_nothing(void **state) {
  const struct gpu_session *session = *state;
  struct uploaded_case u;
  upload(session, &u, false);
  if (u.args.backends[0].page_table_1 == 0) {
    u.args.backends[0].page_table_1 = u.args.backends[0].real_page_table;
  }
  reset_calls();
  CHECK_REFUSED(page_table_stride, u.args.max_len - 1);
  CHECK_REFUSED(real_page_table_stride, 3);
  CHECK_REFUSED(backends[1].cache_seqlens, 1);
  CHECK_REFUSED(backends[1].cu_seqlens_k, 2);
  CHECK_REFUSED(backends[0].page_table_1, 2);
  CHECK_REFUSED(backends[0].nsa_cache_seqlens, 3);
  CHECK_REFUSED(backends[0].nsa_cu_seqlens_k, 1);
  CHECK_REFUSED(backends[1].real_page_table, 2);
  CHECK_REFUSED(backends[1].seqlens_expanded, 1);
  release(&u);
}

static void test_bad_arguments_of_the_pointer_table_call_launch_nothing(void **state) {
  const struct gpu_session *session = *state;
  struct uploaded_case u;
  upload(session, &u, true);
  udm_decode_args nine = u.args;
  nine.num_backends = UDM_MAX_BACKENDS + 1;
  reset_calls();
  check_refused(udm_decode_metadata_table(session->udm, &u.args, 0, 2, NULL), "backend_pointers");
  check_refused(udm_decode_metadata_table(session->udm, &u.args, u.pointers + 4, 2, NULL),
                "backend_pointers");
  check_refused(udm_decode_metadata_table(session->udm, &u.args, u.pointers, 1, NULL),
                "backend_pointers_stride");
  check_refused(udm_decode_metadata_table(session->udm, &nine, u.pointers, 9, NULL),
                "num_backends");
  check_refused(udm_decode_metadata_table(NULL, &u.args, u.pointers, 2, NULL), "ctx");
  release(&u);
}

static void test_a_failing_launch_is_reported(void **state) {
  struct uploaded_case u;
  for (int table = 0; table <= 1; ++table) {
    upload(*state, &u, table != 0);
    setenv("UDM_FAKE_CUDA_FAIL", "cuLaunchKernel:719", 1);
    const udm_status status =
        table ? udm_decode_metadata_table(u.runner.udm, &u.args, u.pointers,
                                          u.c->backend_pointers_stride, u.runner.stream)
              : udm_decode_metadata_direct(u.runner.udm, &u.args, u.runner.stream);
    unsetenv("UDM_FAKE_CUDA_FAIL");
    assert_int_equal(status, UDM_ERROR_DRIVER);
    assert_non_null(strstr(udm_last_error(), "cuLaunchKernel: CUDA_ERROR_LAUNCH_FAILED (719)"));
    gpu_fixture_check_case(&u.runner, u.c); /* the handle is still usable */
    release(&u);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_launch_is_one_driver_call),
      cmocka_unit_test(test_bad_inputs_launch_nothing),
      cmocka_unit_test(test_bad_numbers_launch_nothing),
      cmocka_unit_test(test_bad_outputs_launch_nothing),
      cmocka_unit_test(test_bad_arguments_of_the_pointer_table_call_launch_nothing),
      cmocka_unit_test(test_a_failing_launch_is_reported),
  };
  gpu_fixture_skip_if_impossible();
  if (!find_counters()) {
    printf("skipped: this driver neither counts calls nor injects faults\n");
    return SKIPPED;
  }
  return cmocka_run_group_tests_name("driver calls", tests, gpu_fixture_open, gpu_fixture_close);
}
