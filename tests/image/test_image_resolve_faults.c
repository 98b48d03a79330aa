/*
 * test_image_resolve_faults.c: each driver and each NVRTC call of udm_create() fails in
 * turn. The status is right, the message names the call, nothing is left behind, and once the fault
 * is gone a second try works. Then the same for launch and destroy.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/driver.h"
#include "expectation.h"
#include "nvrtc/nvrtc.h"

/* An error unrelated to the image, an error of the image, and NVRTC's out of memory. */
enum { LAUNCH_FAILED = 719, INVALID_IMAGE = 200, NVRTC_OUT_OF_MEMORY = 1 };

static const char *const driver_names[] = {
#define NAME(requirement, name) #name,
    UDM_DRIVER_SYMBOLS(NAME)};
static const char *const nvrtc_names[] = {UDM_NVRTC_SYMBOLS(NAME)
#undef NAME
};

enum {
  DRIVER_NAMES = sizeof driver_names / sizeof driver_names[0],
  NVRTC_NAMES = sizeof nvrtc_names / sizeof nvrtc_names[0],
  MOST_CALLS = 64
};

/* A way through udm_create. */
struct path {
  const char *title;
  struct machine machine;
  udm_image_source source;
  bool warm; /* the cache is filled first */
};

static const struct path paths[] = {
    {"compiled", {.nvrtc = "11.8", .nvrtc_archs = "70,80,90"}, UDM_IMAGE_NVRTC, false},
    {"cached", {.nvrtc = "11.8", .nvrtc_archs = "70,80,90"}, UDM_IMAGE_CACHE, true},
    {"PTX of NVRTC", {.nvrtc = "11.0", .nvrtc_archs = "70,80"}, UDM_IMAGE_NVRTC_PTX, false},
    {"shipped PTX", {.driver_version = "13000"}, UDM_IMAGE_SHIPPED_PTX, false},
    {"compiled, modules",
     {.nvrtc = "13.0", .driver_version = "13000", .driver_lacks = "cuLibraryLoadData"},
     UDM_IMAGE_NVRTC,
     false},
    {"loaded as PTX",
     {.driver_version = "13000", .driver_lacks = "cuLinkCreate_v2"},
     UDM_IMAGE_SHIPPED_PTX,
     false},
};

static void prepare(struct image_fixture *l, const struct path *p) {
  udm_context_info info;
  cache_empty(l);
  machine_set(l, &p->machine);
  if (p->warm && create_once(l, 90, &info) != UDM_OK) fail_msg("%s", udm_last_error());
  machine_set(l, &p->machine);
}

/* How many times the path makes each call. */
struct call_counts {
  int64_t driver[DRIVER_NAMES];
  long nvrtc[NVRTC_NAMES];
};

/* Like create_once(), but faults and counts end when udm_create() returns. */
static udm_status create_alone(struct image_fixture *l, udm_context_info *info,
                               struct call_counts *counts) {
  const udm_context_info empty = UDM_CONTEXT_INFO_INIT;
  udm_context *udm = NULL;
  CUcontext context = context_open(l, 90);
  *info = empty;
  l->reset_calls();
  l->reset_nvrtc_calls();
  const udm_status status = udm_create(&l->options, &udm);
  for (int n = 0; counts && n < DRIVER_NAMES; ++n) counts->driver[n] = l->calls(driver_names[n]);
  for (int n = 0; counts && n < NVRTC_NAMES; ++n) {
    counts->nvrtc[n] = l->nvrtc_calls(nvrtc_names[n]);
  }
  unsetenv("UDM_FAKE_CUDA_FAIL");
  if (status == UDM_OK) assert_int_equal(udm_get_context_info(udm, info), UDM_OK);
  udm_destroy(udm);
  l->left_behind = l->live_code();
  context_close(l, context);
  return status;
}

static void walk(struct image_fixture *l, const struct path *p, struct call_counts *counts) {
  udm_context_info info;
  prepare(l, p);
  if (create_alone(l, &info, counts) != UDM_OK) fail_msg("%s: %s", p->title, udm_last_error());
  if (info.image_source != p->source) {
    fail_msg("%s: served by %s", p->title, udm_image_source_name(info.image_source));
  }
  assert_int_equal(l->left_behind, 0);
}

/* The message has the documented name of the function, without "_v2". */
static bool is_reported(const struct image_fixture *l, const char *function) {
  char name[64];
  const char *suffix = strstr(function, "_v2");
  snprintf(name, sizeof name, "%.*s", (int)(suffix ? suffix - function : 63), function);
  return strstr(l->log, name) || strstr(udm_last_error(), name);
}

static bool ends_something(const char *function) {
  return strstr(function, "Destroy") || strstr(function, "Unload") ||
         strstr(function, "PopCurrent");
}

/* Checks udm_create() while the nth call of the function fails with this error. */
static void try_with_fault(struct image_fixture *l, const struct path *p, const char *function,
                           int nth, int error) {
  char plan[96];
  udm_context_info info;
  struct machine failing = p->machine;
  snprintf(plan, sizeof plan, "%s:%d:%d", function, error, nth);
  prepare(l, p);
  if (strncmp(function, "nvrtc", 5) == 0) {
    failing.nvrtc_fails = plan;
  } else {
    failing.driver_fails = plan;
  }
  machine_set(l, &failing);
  const udm_status status = create_alone(l, &info, NULL);
  const bool looked_up = strncmp(function, "cuGetProcAddress", 16) == 0;
  const bool of_driver = status == UDM_ERROR_DRIVER && !looked_up && error == LAUNCH_FAILED;
  const bool absent = status == UDM_ERROR_NO_DRIVER && looked_up;
  /* before CUDA 11.8 a driver does not take the shipped PTX, the last resort of newer ones */
  const bool of_nvrtc = status == UDM_ERROR_NO_IMAGE && strncmp(function, "nvrtc", 5) == 0 &&
                        l->calls("cuGetProcAddress_v2") == 0 && !p->machine.driver_version;
  /* every NVRTC fault here is a lack of memory */
  const bool no_memory = status == UDM_ERROR_OUT_OF_MEMORY && strncmp(function, "nvrtc", 5) == 0;
  if (status != UDM_OK && !of_driver && !absent && !of_nvrtc && !no_memory) {
    fail_msg("%s, %s: %s: %s", p->title, plan, udm_status_name(status), udm_last_error());
  }
  /* no message is due if the failure changes nothing for the caller */
  const bool is_silent =
      ends_something(function) || looked_up || (nth == 2 && strstr(function, "StreamCaptureMode"));
  if (!is_silent && !is_reported(l, function)) {
    fail_msg("%s, %s: %s: is not reported: %s\n%s", p->title, plan, udm_status_name(status),
             udm_last_error(), l->log);
  }
  if (!ends_something(function)) assert_int_equal(l->left_behind, 0);
  machine_set(l, &p->machine);
  if (create_once(l, 90, &info) != UDM_OK) {
    fail_msg("%s, after %s: %s", p->title, plan, udm_last_error());
  }
}

static bool is_possible(struct image_fixture *l, const struct path *p) {
  udm_context_info info;
  prepare(l, p);
  return create_once(l, 90, &info) == UDM_OK && (p->warm || info.image_source == p->source);
}

/* Every path that this driver has: each of its calls fails in turn, with both kinds of errors. */
static void test_each_call_of_create_fails_in_turn(void **state) {
  struct image_fixture *l = *state;
  int possible = 0;
  int tried = 0;
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; ++i) {
    static struct call_counts counts;
    const struct path *p = &paths[i];
    if (!is_possible(l, p)) continue;
    ++possible;
    walk(l, p, &counts);
    for (int n = 0; n < DRIVER_NAMES; ++n) {
      for (int nth = 1; nth <= counts.driver[n]; ++nth, ++tried) {
        try_with_fault(l, p, driver_names[n], nth, LAUNCH_FAILED);
      }
    }
    for (int n = 0; n < NVRTC_NAMES; ++n) {
      for (int nth = 1; nth <= counts.nvrtc[n]; ++nth, ++tried) {
        try_with_fault(l, p, nvrtc_names[n], nth, NVRTC_OUT_OF_MEMORY);
      }
    }
  }
  print_message("%d paths, %d faults\n", possible, tried);
  assert_true(possible >= 2);
  assert_true(tried >= 40);
}

/* An error of the image itself never ends the walk, and any other error costs no entry. */
static void test_only_an_error_of_the_image_costs_its_entry(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  const struct path *warm = &paths[1];
  static const char *const loads[] = {"cuLibraryLoadData", "cuModuleLoadDataEx"};
  for (int i = 0; i < 2; ++i) {
    char plan[64];
    struct machine failing = warm->machine;
    prepare(l, warm);
    if (create_once(l, 90, &info) != UDM_OK || l->calls(loads[i]) == 0) continue;
    snprintf(plan, sizeof plan, "%s:2", loads[i]); /* out of memory */
    failing.driver_fails = plan;
    machine_set(l, &failing);
    assert_int_equal(create_once(l, 90, &info), UDM_ERROR_DRIVER);
    assert_int_equal(l->calls(loads[i]), 1);
    machine_set(l, &warm->machine);
    assert_int_equal(create_once(l, 90, &info), UDM_OK);
    assert_int_equal(info.image_source, UDM_IMAGE_CACHE);
    snprintf(plan, sizeof plan, "%s:%d:1", loads[i], INVALID_IMAGE);
    machine_set(l, &failing);
    assert_int_equal(create_once(l, 90, &info), UDM_OK);
    assert_int_equal(info.image_source, UDM_IMAGE_NVRTC);
    return;
  }
  fail_msg("nothing loads an image");
}

/* The faults cover every call: create makes none that a caller would not expect. */
static void test_create_retains_and_synchronises_nothing(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  prepare(l, &paths[0]);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  int64_t listed = 0;
  for (int n = 0; n < DRIVER_NAMES; ++n) listed += l->calls(driver_names[n]);
  /* create_once() destroys its context, after the handle */
  assert_int_equal(l->calls(NULL), listed + l->calls("cuCtxDestroy_v2"));
  assert_int_equal(l->calls("cuDevicePrimaryCtxRetain"), 0);
  assert_int_equal(l->calls("cuLaunchKernel"), 0);
}

/* udm_destroy() has no status: it does what it can, and frees all memory of the library. */
static void test_each_call_of_destroy_fails_in_turn(void **state) {
  static const char *const calls[] = {"cuCtxPushCurrent_v2", "cuThreadExchangeStreamCaptureMode",
                                      "cuLibraryUnload", "cuModuleUnload", "cuCtxPopCurrent_v2"};
  struct image_fixture *l = *state;
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; ++i) {
    char plan[64];
    CUcontext current = NULL;
    udm_context *udm = NULL;
    prepare(l, &paths[0]);
    CUcontext context = context_open(l, 90);
    assert_int_equal(udm_create(&l->options, &udm), UDM_OK);
    snprintf(plan, sizeof plan, "%s:%d", calls[i], LAUNCH_FAILED);
    setenv("UDM_FAKE_CUDA_FAIL", plan, 1);
    udm_destroy(udm);
    unsetenv("UDM_FAKE_CUDA_FAIL");
    assert_int_equal(l->driver.cuCtxGetCurrent(&current), CUDA_SUCCESS);
    assert_ptr_equal(current, context);
    assert_int_equal(udm_create(&l->options, &udm), UDM_OK); /* and it works again */
    udm_destroy(udm);
    if (strcmp(calls[i], "cuCtxPopCurrent_v2") == 0) {
      assert_int_equal(l->driver.cuCtxSetCurrent(NULL), CUDA_SUCCESS); /* it is still current */
    }
    context_close(l, context);
    l->driver.cuCtxSetCurrent(NULL);
  }
}

/* Errors do not depend on the log: without a callback the same happens. */
static void test_no_log_is_needed(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  const struct machine failing = {.nvrtc = "11.8", .nvrtc_fails = "nvrtcVersion:11"};
  l->options.log = NULL;
  l->options.flags = 0;
  machine_set(l, &failing);
  const udm_status status = create_once(l, 90, &info);
  assert_true(status == UDM_OK || status == UDM_ERROR_NO_IMAGE);
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, image_fixture_open, image_fixture_close)
  const struct CMUnitTest tests[] = {
      TEST(test_each_call_of_create_fails_in_turn),
      TEST(test_only_an_error_of_the_image_costs_its_entry),
      TEST(test_create_retains_and_synchronises_nothing),
      TEST(test_each_call_of_destroy_fails_in_turn),
      TEST(test_no_log_is_needed),
  };
  return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
