/*
 * test_image_resolve_rejections.c: if the driver or NVRTC rejects or lacks something, the
 * next image source serves, and the message says why.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "expectation.h"

static void test_each_rejection_leads_to_the_next_source(void **state) {
  static const struct expectation list[] = {
      {"bad image",
       90,
       {.nvrtc = "13.0", .driver_fails = "cuLibraryLoadData:200:1"},
       UDM_IMAGE_NVRTC_PTX,
       90,
       {"cuLibraryLoadData", "CUDA_ERROR_INVALID_IMAGE"}},
      {"no binary",
       90,
       {.nvrtc = "13.0", .driver_fails = "cuKernelGetFunction:209:1"},
       UDM_IMAGE_NVRTC_PTX,
       90,
       {"cuKernelGetFunction", "CUDA_ERROR_NO_BINARY_FOR_GPU"}},
      {"no such kernel",
       90,
       {.nvrtc = "13.0", .driver_fails = "cuLibraryGetKernel:500:1"},
       UDM_IMAGE_NVRTC_PTX,
       90,
       {"cuLibraryGetKernel", "CUDA_ERROR_NOT_FOUND"}},
      {"bad image, PTX rejected",
       90,
       {.nvrtc = "13.0", .driver_fails = "cuLibraryLoadData:200:1,cuLinkAddData_v2:222:1"},
       UDM_IMAGE_SHIPPED_PTX,
       90,
       {"CUDA_ERROR_UNSUPPORTED_PTX_VERSION"}},
      {"bad image, bad PTX",
       90,
       {.nvrtc = "13.0", .driver_fails = "cuLibraryLoadData:200:1,cuLinkComplete:218:1"},
       UDM_IMAGE_SHIPPED_PTX,
       90,
       {"cuLinkComplete", "CUDA_ERROR_INVALID_PTX"}},
      {"a cubin of PTX rejected, too",
       90,
       {.nvrtc = "13.0", .driver_fails = "cuLibraryLoadData:200:1,cuLibraryLoadData:200:2"},
       UDM_IMAGE_SHIPPED_PTX,
       90,
       {NULL}},
  };
  CHECK_ALL(list);
}

/* Temporary faults of NVRTC; test_kernel_compile.c tests the permanent one, a rejected source. */
static void test_a_failed_compile_leads_to_the_next_source(void **state) {
  static const struct expectation list[] = {
      {"does not compile",
       90,
       {.nvrtc = "13.0", .nvrtc_fails = "nvrtcCompileProgram:11:1"},
       UDM_IMAGE_NVRTC_PTX,
       90,
       {"(11)", "a fault that a test asked for"}},
      {"compiles to nothing",
       90,
       {.nvrtc = "13.0", .nvrtc_fails = "nvrtcCompileProgram:11"},
       UDM_IMAGE_SHIPPED_PTX,
       90,
       {"(11)"}},
  };
  CHECK_ALL(list);
}

static void test_if_all_is_rejected_every_reason_is_reported(void **state) {
  static const struct expectation list[] = {
      {"no assembler",
       90,
       {.driver_fails = "cuLinkCreate_v2:221"},
       UDM_IMAGE_NONE,
       0,
       {"CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "libnvidia-ptxjitcompiler"}},
      {"assembling is disabled",
       90,
       {.driver_fails = "cuLinkAddData_v2:223"},
       UDM_IMAGE_NONE,
       0,
       {"CUDA_ERROR_JIT_COMPILATION_DISABLED", "CUDA_DISABLE_PTX_JIT"}},
      {"all rejected",
       90,
       {.nvrtc = "13.0", .driver_fails = "cuLibraryLoadData:200"},
       UDM_IMAGE_NONE,
       0,
       {"\n- cache: no usable entry", "\n- NVRTC: sm_90: cuLibraryLoadData",
        "\n- PTX of NVRTC: cuLibraryLoadData", "\n- shipped PTX: cuLibraryLoadData"}},
  };
  CHECK_ALL(list);
}

static void test_missing_functions_degrade(void **state) {
  static const struct expectation list[] = {
      {"no libraries",
       90,
       {.nvrtc = "13.0", .driver_lacks = "cuLibraryLoadData"},
       UDM_IMAGE_NVRTC,
       90,
       {NULL}},
      {"half of the libraries",
       90,
       {.nvrtc = "13.0", .driver_lacks = "cuKernelGetFunction"},
       UDM_IMAGE_NVRTC,
       90,
       {NULL}},
      {"no links", 90, {.driver_lacks = "cuLinkCreate_v2"}, UDM_IMAGE_SHIPPED_PTX, 90, {NULL}},
      {"no links, PTX too new",
       90,
       {.driver_lacks = "cuLinkComplete", .driver_version = "11070"},
       UDM_IMAGE_NONE,
       0,
       {"cuModuleLoadDataEx", "unsupported .version 7.8"}},
      {"no words for errors",
       90,
       {.driver_lacks = "cuGetErrorName,cuGetErrorString", .driver_fails = "cuLinkCreate_v2:221"},
       UDM_IMAGE_NONE,
       0,
       {"CUDA error (221)"}},
      {"no capture modes",
       90,
       {.nvrtc = "13.0", .driver_lacks = "cuThreadExchangeStreamCaptureMode"},
       UDM_IMAGE_NVRTC,
       90,
       {NULL}},
  };
  CHECK_ALL(list);
}

static void test_modules_replace_missing_libraries(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  const struct machine modern = {.nvrtc = "13.0"};
  const struct machine older = {.nvrtc = "11.8", .driver_version = "11080"};
  machine_set(l, &modern);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  const int64_t libraries = l->calls("cuLibraryLoadData");
  assert_int_equal(libraries + l->calls("cuModuleLoadDataEx"), 1);
  machine_set(l, &older);
  assert_int_equal(create_once(l, 80, &info), UDM_OK);
  assert_int_equal(l->calls("cuLibraryLoadData"), 0);
  assert_int_equal(l->calls("cuModuleLoadDataEx"), 1);
  assert_int_equal(l->calls("cuModuleUnload"), 1);
}

static void test_what_the_driver_needs_is_named(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  const struct machine m = {.driver_lacks = "cuLaunchKernel"};
  machine_set(l, &m);
  assert_int_equal(create_once(l, 90, &info), UDM_ERROR_NO_DRIVER);
  assert_non_null(strstr(udm_last_error(), "has no cuLaunchKernel"));
}

/* A spoiled entry, which no driver takes: the same NVRTC makes it anew, in its place. */
static void test_a_rejected_entry_is_replaced(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  const struct machine good = {.nvrtc = "13.0"};
  const struct machine refusing = {.nvrtc = "13.0", .driver_fails = "cuLibraryLoadData:200:1"};
  machine_set(l, &good);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  machine_set(l, &refusing);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_NVRTC);
  assert_non_null(strstr(l->log, "rejected the image"));
  machine_set(l, &good);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_CACHE);
}

/* A newer driver still loads a cubin that an older one assembled. */
static void test_a_cached_image_outlives_the_driver(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  const struct machine before = {.driver_version = "12040"};
  const struct machine after = {.driver_version = "13000"};
  machine_set(l, &before);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  machine_set(l, &after);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_CACHE);
  cache_empty(l);
  assert_int_equal(create_once(l, 90, &info), UDM_OK); /* a cubin in the layout of CUDA 13 */
  machine_set(l, &before);
  assert_int_equal(create_once(l, 90, &info), UDM_OK); /* which this one does not know */
  assert_int_equal(info.image_source, UDM_IMAGE_SHIPPED_PTX);
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, image_fixture_open, image_fixture_close)
  const struct CMUnitTest tests[] = {
      TEST(test_each_rejection_leads_to_the_next_source),
      TEST(test_a_failed_compile_leads_to_the_next_source),
      TEST(test_if_all_is_rejected_every_reason_is_reported),
      TEST(test_missing_functions_degrade),
      TEST(test_modules_replace_missing_libraries),
      TEST(test_what_the_driver_needs_is_named),
      TEST(test_a_rejected_entry_is_replaced),
      TEST(test_a_cached_image_outlives_the_driver),
  };
  return cmocka_run_group_tests_name("image_resolve_rejections", tests, NULL, NULL);
}
