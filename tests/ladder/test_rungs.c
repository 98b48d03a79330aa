/*
 * test_rungs.c: every rung of the ladder, every way from one to the next, over
 * devices from 6.1 to one of the future.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ladder_fixture.h"
#include "temporary_folder.h"

/* What serves a device on a machine, and what the log and the error say of it. */
typedef struct expectation {
  const char *title;
  int arch;
  machine machine;
  udm_image_source source; /* NONE: nothing, and NO_IMAGE */
  int image_arch;
  const char *told[4];
} expectation;

static void check_told(const ladder *l, const expectation *e) {
  for (int i = 0; i < 4 && e->told[i]; ++i) {
    if (!strstr(l->log, e->told[i]) && !strstr(udm_last_error(), e->told[i])) {
      fail_msg("%s: neither the log nor the error says '%s':\n%s\n%s", e->title, e->told[i], l->log,
               udm_last_error());
    }
  }
}

static void check(ladder *l, const expectation *e) {
  udm_context_info info;
  machine_set(l, &e->machine);
  const udm_status status = create_once(l, e->arch, &info);
  const udm_status wanted = e->source == UDM_IMAGE_NONE ? UDM_ERROR_NO_IMAGE : UDM_OK;
  if (status != wanted) {
    fail_msg("%s: %s: %s", e->title, udm_status_name(status), udm_last_error());
  }
  if (info.image_source != e->source || info.image_arch != e->image_arch) {
    fail_msg("%s: served by %s (sm_%d), want %s (sm_%d):\n%s", e->title,
             udm_image_source_name(info.image_source), (int)info.image_arch,
             udm_image_source_name(e->source), e->image_arch, l->log);
  }
  check_told(l, e);
  assert_int_equal(l->live_code(), 0);
}

static void empty_cache(ladder *l) {
  DIR *listing = opendir(l->folder);
  assert_non_null(listing);
  for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
    if (strstr(entry->d_name, ".cubin")) {
      assert_int_equal(unlinkat(dirfd(listing), entry->d_name, 0), 0);
    }
  }
  closedir(listing);
}

/* What was made for the device itself is found in the cache from then on, by whatever machine. */
static void check_cached(ladder *l, const expectation *e) {
  udm_context_info info;
  machine without = e->machine;
  without.nvrtc = NULL;
  machine_set(l, &without);
  assert_int_equal(create_once(l, e->arch, &info), UDM_OK);
  if (info.image_source != UDM_IMAGE_CACHE) {
    fail_msg("%s: the second time served by %s", e->title,
             udm_image_source_name(info.image_source));
  }
  assert_int_equal(info.image_arch, e->image_arch);
  assert_int_equal(l->calls("cuLinkCreate_v2"), 0);
}

static void check_all(ladder *l, const expectation *all, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    check(l, &all[i]);
    const bool cached = all[i].source != UDM_IMAGE_NONE && !all[i].machine.driver_fails &&
                        !all[i].machine.driver_lacks;
    if (cached) check_cached(l, &all[i]);
    empty_cache(l);
  }
}

#define CHECK_ALL(list) check_all(*state, list, sizeof list / sizeof list[0])

#define CUDA_12_9 "50,52,60,61,70,72,75,80,86,87,89,90,100,101,103,120,121"

static void nvrtc_serves_what_it_knows(void **state) {
  static const expectation list[] = {
      {"7.0", 70, {.nvrtc = "12.9", .nvrtc_archs = CUDA_12_9}, UDM_IMAGE_NVRTC, 70, {NULL}},
      {"7.5", 75, {.nvrtc = "13.0"}, UDM_IMAGE_NVRTC, 75, {NULL}},
      {"8.0", 80, {.nvrtc = "13.0"}, UDM_IMAGE_NVRTC, 80, {NULL}},
      {"8.6", 86, {.nvrtc = "13.0"}, UDM_IMAGE_NVRTC, 86, {NULL}},
      {"8.9", 89, {.nvrtc = "13.0"}, UDM_IMAGE_NVRTC, 89, {NULL}},
      {"9.0", 90, {.nvrtc = "11.8", .nvrtc_archs = "70,80,90"}, UDM_IMAGE_NVRTC, 90, {NULL}},
      {"10.0", 100, {.nvrtc = "13.0"}, UDM_IMAGE_NVRTC, 100, {NULL}},
      {"10.3", 103, {.nvrtc = "13.0"}, UDM_IMAGE_NVRTC, 103, {NULL}},
      {"12.0", 120, {.nvrtc = "13.0"}, UDM_IMAGE_NVRTC, 120, {NULL}},
      {"12.1", 121, {.nvrtc = "13.0"}, UDM_IMAGE_NVRTC, 121, {NULL}},
  };
  CHECK_ALL(list);
}

static void nvrtc_serves_a_newer_minor_revision(void **state) {
  static const expectation list[] = {
      {"7.5", 75, {.nvrtc = "12.9", .nvrtc_archs = "70,80"}, UDM_IMAGE_NVRTC, 70, {NULL}},
      {"8.6", 86, {.nvrtc = "13.0", .nvrtc_archs = "75,80,90"}, UDM_IMAGE_NVRTC, 80, {NULL}},
      {"8.9", 89, {.nvrtc = "13.0", .nvrtc_archs = "80,86,90"}, UDM_IMAGE_NVRTC, 86, {NULL}},
      {"10.3", 103, {.nvrtc = "13.0", .nvrtc_archs = "90,100"}, UDM_IMAGE_NVRTC, 100, {NULL}},
      {"12.1", 121, {.nvrtc = "13.0", .nvrtc_archs = "100,120"}, UDM_IMAGE_NVRTC, 120, {NULL}},
      /* an embedded GPU's image, refused by a desktop one: the next lower serves */
      {"8.9 after 8.7",
       89,
       {.nvrtc = "11.8", .nvrtc_archs = "80,86,87", .driver_fails = "cuKernelGetFunction:209:1"},
       UDM_IMAGE_NVRTC,
       86,
       {"cuKernelGetFunction", "CUDA_ERROR_NO_BINARY_FOR_GPU"}},
  };
  CHECK_ALL(list);
}

static void ptx_of_nvrtc_serves_a_newer_major_revision(void **state) {
  static const expectation list[] = {
      {"9.0",
       90,
       {.nvrtc = "11.8", .nvrtc_archs = "70,80,86"},
       UDM_IMAGE_NVRTC_PTX,
       90,
       {"knows no architecture that runs on sm_90", "compute_86"}},
      {"10.3",
       103,
       {.nvrtc = "12.9", .nvrtc_archs = "80,90"},
       UDM_IMAGE_NVRTC_PTX,
       103,
       {"compute_90"}},
      {"12.0",
       120,
       {.nvrtc = "13.0", .nvrtc_archs = "80,103,110"},
       UDM_IMAGE_NVRTC_PTX,
       120,
       {"compute_110"}},
      {"15.0", 150, {.nvrtc = "13.0"}, UDM_IMAGE_NVRTC_PTX, 150, {"compute_121"}},
      {"7.0, too old for it",
       70,
       {.nvrtc = "13.0"},
       UDM_IMAGE_SHIPPED_PTX,
       70,
       {"install an older one", "knows no architecture from sm_70 to sm_70"}},
  };
  CHECK_ALL(list);
}

static void the_shipped_ptx_serves_everything_else(void **state) {
  static const int archs[] = {70, 75, 80, 86, 89, 90, 100, 103, 120, 121, 150};
  for (size_t i = 0; i < sizeof archs / sizeof archs[0]; ++i) {
    const expectation e = {"no NVRTC",      archs[i],
                           {.nvrtc = NULL}, UDM_IMAGE_SHIPPED_PTX,
                           archs[i],        {"NVRTC was not found"}};
    check(*state, &e);
    check_cached(*state, &e);
    empty_cache(*state);
  }
}

/* A driver of CUDA 11.8 is the oldest that takes the shipped PTX. */
static void old_drivers(void **state) {
  static const expectation list[] = {
      {"CUDA 11.8", 90, {.driver_version = "11080"}, UDM_IMAGE_SHIPPED_PTX, 90, {NULL}},
      {"CUDA 11.7, no NVRTC",
       80,
       {.driver_version = "11070"},
       UDM_IMAGE_NONE,
       0,
       {"\n- shipped PTX: cuLinkAddData", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION (222)",
        "unsupported .version 7.8", "update the driver"}},
      {"CUDA 11.7, NVRTC 11.8",
       80,
       {.driver_version = "11070", .nvrtc = "11.8", .nvrtc_archs = "70,80"},
       UDM_IMAGE_NVRTC,
       80,
       {NULL}},
      {"CUDA 12.4, NVRTC 13.0",
       90,
       {.driver_version = "12040", .nvrtc = "13.0"},
       UDM_IMAGE_SHIPPED_PTX,
       90,
       {"CUDA_ERROR_INVALID_IMAGE", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        "unsupported .version 9.0"}},
  };
  CHECK_ALL(list);
}

static void each_refusal_leads_to_the_next_rung(void **state) {
  static const expectation list[] = {
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
      {"bad image, PTX refused",
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
      {"a cubin of PTX refused too",
       90,
       {.nvrtc = "13.0", .driver_fails = "cuLibraryLoadData:200:1,cuLibraryLoadData:200:2"},
       UDM_IMAGE_SHIPPED_PTX,
       90,
       {NULL}},
  };
  CHECK_ALL(list);
}

/* A fault that may pass: a refused compile would be remembered, as tests/cache checks. */
static void a_compile_that_fails_leads_to_the_next_rung(void **state) {
  static const expectation list[] = {
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

static void when_all_is_refused_all_is_told(void **state) {
  static const expectation list[] = {
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
      {"all refused",
       90,
       {.nvrtc = "13.0", .driver_fails = "cuLibraryLoadData:200"},
       UDM_IMAGE_NONE,
       0,
       {"\n- cache: no usable entry", "\n- NVRTC: sm_90: cuLibraryLoadData",
        "\n- PTX of NVRTC: cuLibraryLoadData", "\n- shipped PTX: cuLibraryLoadData"}},
  };
  CHECK_ALL(list);
}

static void absent_entry_points_degrade(void **state) {
  static const expectation list[] = {
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

static void modules_are_the_other_way_to_load(void **state) {
  ladder *l = *state;
  udm_context_info info;
  const machine modern = {.nvrtc = "13.0"};
  const machine older = {.nvrtc = "12.9", .driver_version = "11080"};
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

static void what_the_driver_needs_is_named(void **state) {
  ladder *l = *state;
  udm_context_info info;
  const machine m = {.driver_lacks = "cuLaunchKernel"};
  machine_set(l, &m);
  assert_int_equal(create_once(l, 90, &info), UDM_ERROR_NO_DRIVER);
  assert_non_null(strstr(udm_last_error(), "has no cuLaunchKernel"));
}

static void too_old_a_device_is_refused(void **state) {
  ladder *l = *state;
  udm_context_info info;
  const machine m = {.nvrtc = "12.9", .nvrtc_archs = CUDA_12_9};
  udm_image_plan plan = {.struct_size = sizeof plan};
  machine_set(l, &m);
  assert_int_equal(create_once(l, 61, &info), UDM_ERROR_NO_IMAGE);
  assert_non_null(strstr(udm_last_error(), "compute capability 6.1"));
  assert_non_null(strstr(udm_last_error(), "7.0"));
  assert_int_equal(udm_plan_image(&l->options, 61, &plan), UDM_ERROR_NO_IMAGE);
}

/* A copy of the library that no other test has opened. */
static void copy_nvrtc(const char *to) {
  const char *original = getenv("UDM_NVRTC_LIBRARY");
  assert_non_null(original);
  FILE *from = fopen(original, "rb");
  assert_non_null(from);
  assert_int_equal(fseek(from, 0, SEEK_END), 0);
  const long size = ftell(from);
  assert_true(size > 0);
  rewind(from);
  char *bytes = malloc((size_t)size);
  assert_non_null(bytes);
  assert_int_equal(fread(bytes, 1, (size_t)size, from), size);
  fclose(from);
  write_file(to, bytes, (unsigned long)size);
  free(bytes);
}

static bool is_loaded(const char *library) {
  void *handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
  if (handle) dlclose(handle);
  return handle != NULL;
}

static void no_compile_never_opens_nvrtc(void **state) {
  ladder *l = *state;
  udm_context_info info;
  const machine m = {.nvrtc = "13.0"};
  machine_set(l, &m);
  char copy[512];
  snprintf(copy, sizeof copy, "%s", path_in(l->folder, "libcopy_of_nvrtc.so"));
  copy_nvrtc(copy);
  l->options.nvrtc_library = copy;
  l->options.flags = UDM_OPTION_CACHED_ONLY;
  assert_int_equal(create_once(l, 90, &info), UDM_ERROR_NO_IMAGE);
  assert_non_null(strstr(udm_last_error(), "UDM_NO_COMPILE=strict"));
  assert_int_equal(l->calls("cuLinkCreate_v2"), 0);
  l->options.flags = UDM_OPTION_NO_COMPILE;
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_SHIPPED_PTX);
  l->options.flags = UDM_OPTION_CACHED_ONLY;
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_CACHE);
  assert_false(is_loaded(copy));
  l->options.flags = 0;
  empty_cache(l);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_NVRTC);
  assert_true(is_loaded(copy)); /* so the question was a good one */
}

static void an_nvrtc_that_makes_no_ptx(void **state) {
  ladder *l = *state;
  udm_context_info info;
  const machine m = {.nvrtc = "13.0", .nvrtc_archs = "80"};
  machine_set(l, &m);
  l->options.nvrtc_library = getenv("LEAST_NVRTC");
  assert_non_null(l->options.nvrtc_library);
  assert_int_equal(create_once(l, 80, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_NVRTC);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_SHIPPED_PTX);
  assert_non_null(strstr(l->log, "has no nvrtcGetPTX"));
}

/* An entry that the driver refuses is removed, and what the next rung makes takes its place. */
static void a_refused_entry_is_replaced(void **state) {
  ladder *l = *state;
  udm_context_info info;
  const machine good = {.nvrtc = "13.0"};
  const machine refusing = {.nvrtc = "13.0", .driver_fails = "cuLibraryLoadData:200:1"};
  machine_set(l, &good);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  machine_set(l, &refusing);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_NVRTC);
  assert_non_null(strstr(l->log, "was refused"));
  machine_set(l, &good);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_CACHE);
}

/* A newer driver than the one that assembled a cached cubin needs no new one. */
static void a_cached_image_outlives_the_driver(void **state) {
  ladder *l = *state;
  udm_context_info info;
  const machine before = {.driver_version = "12040"};
  const machine after = {.driver_version = "13000"};
  machine_set(l, &before);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  machine_set(l, &after);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_CACHE);
  empty_cache(l);
  assert_int_equal(create_once(l, 90, &info), UDM_OK); /* a cubin in the layout of CUDA 13 */
  machine_set(l, &before);
  assert_int_equal(create_once(l, 90, &info), UDM_OK); /* which this one does not know */
  assert_int_equal(info.image_source, UDM_IMAGE_SHIPPED_PTX);
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, ladder_open, ladder_close)
  const struct CMUnitTest tests[] = {
      TEST(nvrtc_serves_what_it_knows),
      TEST(nvrtc_serves_a_newer_minor_revision),
      TEST(ptx_of_nvrtc_serves_a_newer_major_revision),
      TEST(the_shipped_ptx_serves_everything_else),
      TEST(old_drivers),
      TEST(each_refusal_leads_to_the_next_rung),
      TEST(a_compile_that_fails_leads_to_the_next_rung),
      TEST(when_all_is_refused_all_is_told),
      TEST(absent_entry_points_degrade),
      TEST(modules_are_the_other_way_to_load),
      TEST(what_the_driver_needs_is_named),
      TEST(too_old_a_device_is_refused),
      TEST(no_compile_never_opens_nvrtc),
      TEST(an_nvrtc_that_makes_no_ptx),
      TEST(a_refused_entry_is_replaced),
      TEST(a_cached_image_outlives_the_driver),
  };
  return cmocka_run_group_tests_name("rungs", tests, NULL, NULL);
}
