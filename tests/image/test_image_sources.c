/*
 * test_image_sources.c: each image source serves the devices it should, from compute
 * capability 6.1 to a future one, and no forbidden source does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "expectation.h"
#include "temporary_folder.h"

#define CUDA_12_9 "50,52,60,61,70,72,75,80,86,87,89,90,100,101,103,120,121"

static void test_nvrtc_serves_what_it_knows(void **state) {
  static const struct expectation list[] = {
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

static void test_nvrtc_serves_a_newer_minor_revision(void **state) {
  static const struct expectation list[] = {
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

static void test_ptx_of_nvrtc_serves_a_newer_major_revision(void **state) {
  static const struct expectation list[] = {
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

static void test_the_shipped_ptx_serves_everything_else(void **state) {
  static const int archs[] = {70, 75, 80, 86, 89, 90, 100, 103, 120, 121, 150};
  for (size_t i = 0; i < sizeof archs / sizeof archs[0]; ++i) {
    const struct expectation e = {"no NVRTC",      archs[i],
                                  {.nvrtc = NULL}, UDM_IMAGE_SHIPPED_PTX,
                                  archs[i],        {"NVRTC was not found"}};
    expectation_check(*state, &e);
    expectation_check_cached(*state, &e);
    cache_empty(*state);
  }
}

static int count_good_entry(void *user_data, const udm_cache_entry_info *entry) {
  if (entry->state == UDM_CACHE_ENTRY_OK && entry->arch == 90) ++*(int *)user_data;
  return 0;
}

/* Whoever made an entry, for those who look at the cache it is one of this library's. */
static void test_what_ptx_gave_is_a_good_entry(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  static const struct machine machines[] = {{.nvrtc = NULL},
                                            {.nvrtc = "13.0", .nvrtc_archs = "80"}};
  for (int m = 0; m < 2; ++m) {
    int good = 0;
    machine_set(l, &machines[m]);
    assert_int_equal(create_once(l, 90, &info), UDM_OK);
    assert_int_equal(udm_cache_enumerate(&l->options, count_good_entry, &good), UDM_OK);
    assert_int_equal(good, 1);
    cache_empty(l);
  }
}

static int copy_producer(void *user_data, const udm_cache_entry_info *entry) {
  snprintf(user_data, UDM_PATH_SIZE, "%s", entry->producer);
  return 0;
}

/* A context names the producer of its image, built or cached, as the cache does. */
static void test_producers(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  char of_entry[UDM_PATH_SIZE];
  static const struct {
    struct machine machine;
    const char *begins;
    const char *holds;
  } list[] = {
      {{.nvrtc = "13.0", .nvrtc_archs = "90"}, "NVRTC 13.0, build ", ""},
      {{.nvrtc = "13.0", .nvrtc_archs = "80"},
       "NVRTC 13.0, build ",
       "; PTX for compute_80, driver "},
      {{.nvrtc = NULL}, "shipped decode_metadata.ptx, xxh3-128 ", "; driver "},
  };
  for (size_t i = 0; i < sizeof list / sizeof list[0]; ++i) {
    machine_set(l, &list[i].machine);
    assert_int_equal(create_once(l, 90, &info), UDM_OK);
    assert_ptr_equal(strstr(info.image_producer, list[i].begins), info.image_producer);
    assert_non_null(strstr(info.image_producer, list[i].holds));
    assert_null(strchr(info.image_producer, '\n'));
    assert_int_equal(udm_cache_enumerate(&l->options, copy_producer, of_entry), UDM_OK);
    assert_string_equal(info.image_producer, of_entry);
    assert_int_equal(create_once(l, 90, &info), UDM_OK);
    assert_int_equal(info.image_source, UDM_IMAGE_CACHE);
    assert_string_equal(info.image_producer, of_entry);
    cache_empty(l);
  }
}

/* A driver of CUDA 11.8 is the oldest that takes the shipped PTX. */
static void test_old_drivers(void **state) {
  static const struct expectation list[] = {
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
       {"CUDA_ERROR_INVALID_IMAGE", "writes PTX that this driver, of CUDA 12.4, cannot read"}},
      {"CUDA 12.4, NVRTC 12.9 whose PTX is too new",
       150,
       {.driver_version = "12040", .nvrtc = "12.9", .nvrtc_archs = CUDA_12_9},
       UDM_IMAGE_SHIPPED_PTX,
       150,
       {"CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "unsupported .version 8.9"}},
  };
  CHECK_ALL(list);
}

static void test_a_device_that_is_too_old_is_rejected(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  const struct machine m = {.nvrtc = "12.9", .nvrtc_archs = CUDA_12_9};
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

static void test_no_compile_never_opens_nvrtc(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  const struct machine m = {.nvrtc = "13.0"};
  machine_set(l, &m);
  char copy[512];
  snprintf(copy, sizeof copy, "%s", path_in(l->folder, "libcopy_of_nvrtc.so"));
  copy_nvrtc(copy);
  l->options.nvrtc_library = copy;
  l->options.flags = UDM_OPTION_CACHED_ONLY;
  assert_int_equal(create_once(l, 90, &info), UDM_ERROR_NO_IMAGE);
  assert_non_null(strstr(udm_last_error(), "UDM_OPTION_CACHED_ONLY"));
  assert_int_equal(l->calls("cuLinkCreate_v2"), 0);
  l->options.flags = UDM_OPTION_NO_COMPILE;
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_SHIPPED_PTX);
  l->options.flags = UDM_OPTION_CACHED_ONLY;
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_CACHE);
  assert_false(is_loaded(copy));
  l->options.flags = 0;
  cache_empty(l);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_NVRTC);
  assert_true(is_loaded(copy)); /* so the question was a good one */
}

static udm_cache_counters counters_now(void) {
  udm_cache_counters counters = {.struct_size = sizeof counters};
  assert_int_equal(udm_get_cache_counters(&counters), UDM_OK);
  return counters;
}

/* A lock that was wanted and not had is counted: so a folder in its place tells of each. */
static void put_folder_in_the_lock_files_place(struct image_fixture *l) {
  const char *lock = path_in(l->folder, ".lock");
  assert_int_equal(unlink(lock), 0);
  assert_int_equal(mkdir(lock, 0700), 0);
}

/* Many processes start at once on such a device: none waits for another to look into the cache. */
static void test_a_lower_architectures_entry_is_found_without_a_lock(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  const struct machine old = {.nvrtc = "11.7", .nvrtc_archs = "80,86"};
  const struct machine exact = {.nvrtc = "13.0"};
  machine_set(l, &old);
  assert_int_equal(create_once(l, 89, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_NVRTC);
  put_folder_in_the_lock_files_place(l);

  const udm_cache_counters before = counters_now();
  assert_int_equal(create_once(l, 89, &info), UDM_OK);
  const udm_cache_counters cached = counters_now();
  assert_int_equal(info.image_source, UDM_IMAGE_CACHE);
  assert_int_equal(info.image_arch, 86);
  assert_int_equal(cached.hits_writable - before.hits_writable, 1);
  assert_int_equal(cached.misses_no_entry - before.misses_no_entry, 1);
  assert_int_equal(cached.compiles, before.compiles);
  assert_int_equal(cached.lock_failures, before.lock_failures);

  machine_set(l, &exact); /* the same cache does not keep a newer NVRTC from doing better */
  assert_int_equal(create_once(l, 89, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_NVRTC);
  assert_int_equal(info.image_arch, 89);
  assert_int_equal(counters_now().lock_failures - cached.lock_failures, 1);
}

/* What the driver refuses of it stays; the architecture below it is compiled. */
static void test_a_lower_architectures_entry_that_is_rejected(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  const struct machine old = {.nvrtc = "11.7", .nvrtc_archs = "80,86"};
  const struct machine refusing = {
      .nvrtc = "11.7", .nvrtc_archs = "80,86", .driver_fails = "cuKernelGetFunction:209:1"};
  machine_set(l, &old);
  assert_int_equal(create_once(l, 89, &info), UDM_OK);
  put_folder_in_the_lock_files_place(l);
  const udm_cache_counters before = counters_now();
  machine_set(l, &refusing);
  assert_int_equal(create_once(l, 89, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_NVRTC);
  assert_int_equal(info.image_arch, 80);
  assert_int_equal(counters_now().lock_failures - before.lock_failures, 1);
  assert_int_equal(counters_now().repairs, before.repairs);
  machine_set(l, &old);
  assert_int_equal(create_once(l, 89, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_CACHE);
  assert_int_equal(info.image_arch, 86);
}

static void test_an_nvrtc_that_makes_no_ptx(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  const struct machine m = {.nvrtc = "13.0", .nvrtc_archs = "80"};
  machine_set(l, &m);
  l->options.nvrtc_library = getenv("LEAST_NVRTC");
  assert_non_null(l->options.nvrtc_library);
  assert_int_equal(create_once(l, 80, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_NVRTC);
  assert_int_equal(create_once(l, 90, &info), UDM_OK);
  assert_int_equal(info.image_source, UDM_IMAGE_SHIPPED_PTX);
  assert_non_null(strstr(l->log, "has no nvrtcGetPTX"));
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, image_fixture_open, image_fixture_close)
  const struct CMUnitTest tests[] = {
      TEST(test_nvrtc_serves_what_it_knows),
      TEST(test_nvrtc_serves_a_newer_minor_revision),
      TEST(test_ptx_of_nvrtc_serves_a_newer_major_revision),
      TEST(test_the_shipped_ptx_serves_everything_else),
      TEST(test_what_ptx_gave_is_a_good_entry),
      TEST(test_producers),
      TEST(test_old_drivers),
      TEST(test_a_device_that_is_too_old_is_rejected),
      TEST(test_no_compile_never_opens_nvrtc),
      TEST(test_a_lower_architectures_entry_is_found_without_a_lock),
      TEST(test_a_lower_architectures_entry_that_is_rejected),
      TEST(test_an_nvrtc_that_makes_no_ptx),
  };
  return cmocka_run_group_tests_name("image_sources", tests, NULL, NULL);
}
