/*
 * Which driver calls the library makes, and what it does when one fails. Needs
 * the stand-in driver, which counts calls and injects faults; CTest gives it
 * devices of the compute capabilities 9.0, 8.6, 9.9 and 99.0.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>

#include "gpu_fixture.h"

enum { SKIPPED = 77 };

/* Errors to inject: two that speak of the image, two that do not. */
enum { INVALID_IMAGE = 200, NOT_FOUND = 500, OUT_OF_MEMORY = 2, LAUNCH_FAILED = 719 };

static int64_t (*count_calls)(const char *name);
static void (*reset_calls)(void);

/* POSIX lets a function's address travel as void *; ISO C has no cast for it. */
static bool find_counters(void) {
  void *count = NULL;
  void *reset = NULL;
  if (udm_driver_symbol(NULL, "stand_in_driver_calls", &count) != UDM_OK) return false;
  if (udm_driver_symbol(NULL, "stand_in_driver_reset_calls", &reset) != UDM_OK) return false;
  memcpy(&count_calls, &count, sizeof count);
  memcpy(&reset_calls, &reset, sizeof reset);
  return true;
}

/* A case in device memory, ready to be launched. */
typedef struct uploaded_case {
  decode_case *c;
  case_runner runner;
  udm_decode_args args;
  CUdeviceptr pointers;
} uploaded_case;

static void upload(const gpu_session *session, uploaded_case *u, bool table) {
  const case_runner runner = CASE_RUNNER_INIT(&session->driver, session->udm, session->stream);
  decode_case_request request = DECODE_CASE_REQUEST_INIT;
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

static void release(uploaded_case *u) {
  case_runner_release(&u->runner);
  decode_case_destroy(u->c);
}

static void a_launch_is_one_driver_call(void **state) {
  uploaded_case u;
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

/* The call must be refused with the argument's name, and the driver not be bothered. */
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

static void bad_inputs_launch_nothing(void **state) {
  const gpu_session *session = *state;
  uploaded_case u;
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

static void bad_numbers_launch_nothing(void **state) {
  const gpu_session *session = *state;
  uploaded_case u;
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

static void bad_outputs_launch_nothing(void **state) {
  const gpu_session *session = *state;
  uploaded_case u;
  upload(session, &u, false);
  if (u.args.backends[0].page_table_1 == 0) {
    u.args.backends[0].page_table_1 = u.args.backends[0].real_page_table;
  }
  reset_calls();
  CHECK_REFUSED(page_table_stride, u.args.max_len - 1);
  CHECK_REFUSED(real_page_table_stride, 3);
  CHECK_REFUSED(backends[1].cache_seqlens, 0);
  CHECK_REFUSED(backends[1].cu_seqlens_k, 2);
  CHECK_REFUSED(backends[0].page_table_1, 2);
  CHECK_REFUSED(backends[0].nsa_cache_seqlens, 0);
  CHECK_REFUSED(backends[0].nsa_cu_seqlens_k, 0);
  CHECK_REFUSED(backends[1].real_page_table, 0);
  CHECK_REFUSED(backends[1].seqlens_expanded, 1);
  release(&u);
}

static void bad_arguments_of_the_table_entry_launch_nothing(void **state) {
  const gpu_session *session = *state;
  uploaded_case u;
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

/* The nth call fails from here on; 0: every one. */
static void inject(const char *call, int nth, int error) {
  char text[128];
  snprintf(text, sizeof text, "%s:%d", call, error);
  if (nth > 0) snprintf(text, sizeof text, "%s:%d:%d", call, error, nth);
  setenv("UDM_STAND_IN_FAIL", text, 1);
  reset_calls();
}

static void a_failing_launch_is_reported(void **state) {
  uploaded_case u;
  for (int table = 0; table <= 1; ++table) {
    upload(*state, &u, table != 0);
    inject("cuLaunchKernel", 0, LAUNCH_FAILED);
    const udm_status status =
        table ? udm_decode_metadata_table(u.runner.udm, &u.args, u.pointers,
                                          u.c->backend_pointers_stride, u.runner.stream)
              : udm_decode_metadata_direct(u.runner.udm, &u.args, u.runner.stream);
    unsetenv("UDM_STAND_IN_FAIL");
    assert_int_equal(status, UDM_ERROR_DRIVER);
    assert_non_null(strstr(udm_last_error(), "cuLaunchKernel: CUDA_ERROR_LAUNCH_FAILED (719)"));
    gpu_fixture_check_case(&u.runner, u.c); /* and it leaves the handle usable */
    release(&u);
  }
}

typedef struct create_fault {
  const char *call;
  int nth;
  int error;
  udm_status status;
} create_fault;

/* Every call that udm_create makes, and the status of its failure. */
static const create_fault create_faults[] = {
    {"cuInit", 0, LAUNCH_FAILED, UDM_ERROR_DRIVER},
    {"cuInit", 0, 100, UDM_ERROR_NO_DEVICE},
    {"cuCtxGetCurrent", 0, LAUNCH_FAILED, UDM_ERROR_DRIVER},
    {"cuCtxGetDevice", 0, LAUNCH_FAILED, UDM_ERROR_DRIVER},
    {"cuDeviceGetAttribute", 1, LAUNCH_FAILED, UDM_ERROR_DRIVER},
    {"cuDeviceGetAttribute", 2, LAUNCH_FAILED, UDM_ERROR_DRIVER},
    {"cuDeviceGetAttribute", 3, LAUNCH_FAILED, UDM_ERROR_DRIVER},
    {"cuModuleLoadDataEx", 0, OUT_OF_MEMORY, UDM_ERROR_DRIVER},
    {"cuModuleLoadDataEx", 0, LAUNCH_FAILED, UDM_ERROR_DRIVER},
    {"cuModuleGetFunction", 0, LAUNCH_FAILED, UDM_ERROR_DRIVER},
    {"cuModuleGetFunction", 2, OUT_OF_MEMORY, UDM_ERROR_DRIVER},
    {"cuModuleLoadDataEx", 0, INVALID_IMAGE, UDM_ERROR_NO_IMAGE},
    {"cuModuleGetFunction", 0, NOT_FOUND, UDM_ERROR_NO_IMAGE},
};

enum { CREATE_FAULTS = sizeof create_faults / sizeof create_faults[0] };

static void a_failing_create_names_the_call(void **state) {
  (void)state;
  for (int f = 0; f < CREATE_FAULTS; ++f) {
    const create_fault *fault = &create_faults[f];
    udm_context *udm = (udm_context *)(void *)&udm;
    inject(fault->call, fault->nth, fault->error);
    const udm_status status = udm_create(NULL, &udm);
    unsetenv("UDM_STAND_IN_FAIL");
    if (status != fault->status) {
      fail_msg("%s: %d: %s, want %s", fault->call, fault->error, udm_status_name(status),
               udm_status_name(fault->status));
    }
    assert_null(udm);
    if (!strstr(udm_last_error(), fault->call)) {
      fail_msg("'%s' does not name %s", udm_last_error(), fault->call);
    }
    /* what was loaded before the fault is unloaded again */
    const int64_t loads = count_calls("cuModuleLoadDataEx");
    const bool load_fails = strcmp(fault->call, "cuModuleLoadDataEx") == 0;
    assert_int_equal(count_calls("cuModuleUnload"), load_fails ? 0 : loads);
  }
}

/* The faults above are of every call that there is. */
static void create_makes_no_other_call(void **state) {
  (void)state;
  udm_context *udm = NULL;
  static const char *const calls[] = {"cuInit",
                                      "cuCtxGetCurrent",
                                      "cuCtxGetDevice",
                                      "cuDeviceGetAttribute",
                                      "cuModuleLoadDataEx",
                                      "cuModuleGetFunction"};
  int64_t listed = 0;
  reset_calls();
  if (udm_create(NULL, &udm) != UDM_OK) fail_msg("%s", udm_last_error());
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; ++i) listed += count_calls(calls[i]);
  assert_int_equal(count_calls(NULL), listed);
  assert_int_equal(count_calls("cuModuleLoadDataEx"), 1);
  assert_int_equal(count_calls("cuDevicePrimaryCtxRetain"), 0);
  udm_destroy(udm);
  assert_int_equal(count_calls("cuModuleUnload"), 1);
}

/* Creates and destroys a handle; where its image came from. */
static udm_image_source create_once(void) {
  udm_context *udm = NULL;
  udm_context_info info = UDM_CONTEXT_INFO_INIT;
  const udm_status status = udm_create(NULL, &udm);
  unsetenv("UDM_STAND_IN_FAIL");
  if (status != UDM_OK) fail_msg("%s", udm_last_error());
  assert_int_equal(udm_get_context_info(udm, &info), UDM_OK);
  udm_destroy(udm);
  return info.image_source;
}

/* An image that the driver refuses is replaced by another. */
static void a_refused_image_is_not_the_end(void **state) {
  (void)state;
  create_once();
  assert_int_equal(create_once(), UDM_IMAGE_CACHE);
  inject("cuModuleLoadDataEx", 1, INVALID_IMAGE);
  assert_int_equal(create_once(), UDM_IMAGE_NVRTC);
  assert_int_equal(create_once(), UDM_IMAGE_CACHE);
}

/* Trouble that has nothing to do with the image costs no cache entry. */
static void other_trouble_leaves_the_cache_alone(void **state) {
  (void)state;
  udm_context *udm = NULL;
  create_once();
  inject("cuModuleLoadDataEx", 0, OUT_OF_MEMORY);
  assert_int_equal(udm_create(NULL, &udm), UDM_ERROR_DRIVER);
  assert_int_equal(count_calls("cuModuleLoadDataEx"), 1);
  unsetenv("UDM_STAND_IN_FAIL");
  assert_int_equal(create_once(), UDM_IMAGE_CACHE);
}

typedef struct device_image {
  int device_arch;
  int image_arch; /* 0: there is none */
} device_image;

/* One process, devices of several generations: each gets an image that it can run. */
static void each_device_gets_its_image(void **state) {
  static const device_image devices[] = {{90, 90}, {86, 86}, {99, 90}, {990, 0}};
  const gpu_session *session = *state;
  const cuda_driver *driver = &session->driver;
  for (int d = 0; d < 4; ++d) {
    CUcontext context = NULL;
    udm_context *udm = NULL;
    udm_context_info info = UDM_CONTEXT_INFO_INIT;
    ASSERT_CUDA(driver, cuCtxCreate_v2(&context, 0, d));
    const udm_status status = udm_create(NULL, &udm);
    if (devices[d].image_arch == 0) {
      assert_int_equal(status, UDM_ERROR_NO_IMAGE);
      assert_non_null(strstr(udm_last_error(), "sm_990"));
    } else {
      if (status != UDM_OK) fail_msg("device %d: %s", d, udm_last_error());
      assert_int_equal(udm_get_context_info(udm, &info), UDM_OK);
      assert_int_equal(info.device, d);
      assert_int_equal(info.device_arch, devices[d].device_arch);
      assert_int_equal(info.image_arch, devices[d].image_arch);
    }
    udm_destroy(udm);
    ASSERT_CUDA(driver, cuCtxDestroy_v2(context));
    ASSERT_CUDA(driver, cuCtxSetCurrent(session->context));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_launch_is_one_driver_call),
      cmocka_unit_test(bad_inputs_launch_nothing),
      cmocka_unit_test(bad_numbers_launch_nothing),
      cmocka_unit_test(bad_outputs_launch_nothing),
      cmocka_unit_test(bad_arguments_of_the_table_entry_launch_nothing),
      cmocka_unit_test(a_failing_launch_is_reported),
      cmocka_unit_test(a_failing_create_names_the_call),
      cmocka_unit_test(create_makes_no_other_call),
      cmocka_unit_test(a_refused_image_is_not_the_end),
      cmocka_unit_test(other_trouble_leaves_the_cache_alone),
      cmocka_unit_test(each_device_gets_its_image),
  };
  gpu_fixture_skip_if_impossible();
  if (!find_counters()) {
    printf("skipped: this driver neither counts calls nor injects faults\n");
    return SKIPPED;
  }
  return cmocka_run_group_tests_name("driver calls", tests, gpu_fixture_open, gpu_fixture_close);
}
