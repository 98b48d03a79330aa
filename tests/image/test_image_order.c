/*
 * test_image_order.c: the order of quality of the image sources, over several starts that share a
 * cache: what one start leaves there never keeps a better image from a later one, and costs no
 * later node its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "expectation.h"
#include "temporary_folder.h"

static const struct machine with_nvrtc = {.nvrtc = "13.0"};
static const struct machine without_nvrtc = {.nvrtc = NULL};
/* NVRTC of CUDA 13 beside a driver of CUDA 12, which reads neither its cubins nor its PTX */
static const struct machine old_driver = {.driver_version = "12080", .nvrtc = "13.0"};

static void start(struct image_fixture *l, const struct machine *m, udm_image_source source,
                  int warnings) {
  udm_context_info info;
  machine_set(l, m);
  if (create_once(l, 90, &info) != UDM_OK) fail_msg("%s", udm_last_error());
  if (info.image_source != source) {
    fail_msg("served by %s, not by %s:\n%s", udm_image_source_name(info.image_source),
             udm_image_source_name(source), l->log);
  }
  if (l->warnings != warnings) fail_msg("%d warnings:\n%s", l->warnings, l->log);
}

static void test_forbidding_a_compile_once_costs_no_later_start_its_cubin(void **state) {
  struct image_fixture *l = *state;
  l->options.flags = UDM_OPTION_NO_COMPILE;
  start(l, &with_nvrtc, UDM_IMAGE_SHIPPED_PTX, 1);
  start(l, &with_nvrtc, UDM_IMAGE_CACHE, 1); /* that cubin, still a lesser image */
  assert_non_null(strstr(l->log, "served by a lesser image, assembled from the shipped PTX"));
  assert_non_null(strstr(l->log, "To do: fill the cache with 'udm prewarm --arch sm_90"));
  assert_int_equal(l->calls("cuLinkCreate_v2"), 0);
  l->options.flags = 0;
  start(l, &with_nvrtc, UDM_IMAGE_NVRTC, 0);
  start(l, &with_nvrtc, UDM_IMAGE_CACHE, 0);
  assert_int_equal(l->nvrtc_calls("nvrtcVersion"),
                   0); /* as ever: the best one costs nothing more */
}

static void test_a_broken_nvrtc_costs_no_later_start_its_cubin(void **state) {
  struct image_fixture *l = *state;
  const struct machine broken = {.nvrtc = "13.0", .nvrtc_fails = "nvrtcCompileProgram:11"};
  start(l, &broken, UDM_IMAGE_SHIPPED_PTX, 1);
  assert_non_null(strstr(l->log, "(11)"));
  start(l, &with_nvrtc, UDM_IMAGE_NVRTC, 0);
}

static void test_ptx_of_nvrtc_costs_no_later_start_its_cubin(void **state) {
  struct image_fixture *l = *state;
  const struct machine older = {.nvrtc = "11.8", .nvrtc_archs = "70,80"};
  start(l, &older, UDM_IMAGE_NVRTC_PTX, 1);
  assert_non_null(strstr(l->log, "install an NVRTC that knows sm_90, newer than 11.8"));
  start(l, &older, UDM_IMAGE_CACHE, 1);
  assert_int_equal(l->nvrtc_calls("nvrtcCompileProgram"), 0);
  assert_int_equal(l->calls("cuLinkCreate_v2"), 0);
  start(l, &without_nvrtc, UDM_IMAGE_CACHE, 1); /* better than the shipped PTX, even now */
  assert_non_null(strstr(l->log, "served by a lesser image, assembled from PTX of NVRTC"));
  start(l, &with_nvrtc, UDM_IMAGE_NVRTC, 0);
}

/* Two nodes share a home. Neither costs the other an image, or itself a compile per start. */
static void test_an_old_node_on_a_shared_home(void **state) {
  struct image_fixture *l = *state;
  start(l, &old_driver, UDM_IMAGE_SHIPPED_PTX, 1);
  assert_non_null(strstr(l->log, "CUDA_ERROR_INVALID_IMAGE"));
  assert_non_null(strstr(l->log,
                         "To do: install an NVRTC of CUDA 12 (pip install "
                         "nvidia-cuda-nvrtc-cu12)"));
  for (int i = 0; i < 2; ++i) {
    start(l, &old_driver, UDM_IMAGE_CACHE, 1);
    assert_int_equal(l->nvrtc_calls("nvrtcCompileProgram"), 0);
    assert_int_equal(l->calls("cuLinkCreate_v2"), 0);
    start(l, &with_nvrtc, UDM_IMAGE_CACHE, 0); /* what the old node compiled in vain */
  }
}

static int count_entry(void *user_data, const udm_cache_entry_info *entry) {
  *(int *)user_data += entry->state == UDM_CACHE_ENTRY_OK;
  return 0;
}

static int entries(struct image_fixture *l) {
  int count = 0;
  assert_int_equal(udm_cache_enumerate(&l->options, count_entry, &count), UDM_OK);
  return count;
}

static void test_a_refused_entry_stays_in_every_mode(void **state) {
  struct image_fixture *l = *state;
  static const uint32_t modes[] = {0, UDM_OPTION_NO_COMPILE, UDM_OPTION_CACHED_ONLY};
  udm_context_info info;
  for (int i = 0; i < 3; ++i) {
    cache_empty(l);
    l->options.flags = 0;
    start(l, &with_nvrtc, UDM_IMAGE_NVRTC, 0);
    l->options.flags = modes[i];
    machine_set(l, &old_driver);
    const bool served = create_once(l, 90, &info) == UDM_OK;
    assert_int_equal(served, modes[i] != UDM_OPTION_CACHED_ONLY);
    if (!served) {
      assert_non_null(strstr(udm_last_error(), "--for-driver 12.8' on a machine that may compile"));
      assert_non_null(strstr(udm_last_error(),
                             "the cache has images of CUDA 13.0, which this "
                             "driver, of CUDA 12.8, refuses"));
    }
    assert_int_equal(entries(l), served ? 2 : 1);
    start(l, &with_nvrtc, UDM_IMAGE_CACHE, 0);
  }
}

/* A second NVRTC fills the cache for the older driver: both nodes are served by their own. */
static void test_entries_of_two_majors_serve_two_drivers(void **state) {
  struct image_fixture *l = *state;
  const struct machine older = {.driver_version = "12080", .nvrtc = "12.9"};
  start(l, &with_nvrtc, UDM_IMAGE_NVRTC, 0);
  start(l, &older, UDM_IMAGE_NVRTC, 0);
  l->options.flags = UDM_OPTION_CACHED_ONLY;
  start(l, &older, UDM_IMAGE_CACHE, 0);
  start(l, &old_driver, UDM_IMAGE_CACHE, 0);
  start(l, &with_nvrtc, UDM_IMAGE_CACHE, 0);
}

/* Every driver of the fleet: what it reads of NVRTC 11, 12 and 13 serves it, and no warning comes.
 */
static void test_drivers_from_11_8_to_13(void **state) {
  struct image_fixture *l = *state;
  static const char *const drivers[] = {"11080", "12000", "12040", "12080",
                                        "12090", "13000", "13010"};
  static const struct machine makers[] = {{.nvrtc = "11.8"}, {.nvrtc = "12.9"}, {.nvrtc = "13.0"}};
  for (int i = 0; i < 3; ++i) {
    machine_set(l, &makers[i]);
    assert_int_equal(udm_prewarm(&l->options, 90, 0, NULL), UDM_OK);
  }
  l->options.flags = UDM_OPTION_CACHED_ONLY;
  for (size_t d = 0; d < sizeof drivers / sizeof drivers[0]; ++d) {
    const struct machine m = {.driver_version = drivers[d]};
    start(l, &m, UDM_IMAGE_CACHE, 0);
  }
}

static void test_strict_mode_takes_the_best_cached_image(void **state) {
  struct image_fixture *l = *state;
  start(l, &without_nvrtc, UDM_IMAGE_SHIPPED_PTX, 1);
  l->options.flags = UDM_OPTION_CACHED_ONLY;
  start(l, &without_nvrtc, UDM_IMAGE_CACHE, 1);
  l->options.flags = 0;
  start(l, &with_nvrtc, UDM_IMAGE_NVRTC, 0);
  l->options.flags = UDM_OPTION_NO_COMPILE;
  start(l, &without_nvrtc, UDM_IMAGE_CACHE, 0);
  l->options.flags = UDM_OPTION_CACHED_ONLY;
  start(l, &without_nvrtc, UDM_IMAGE_CACHE, 0);
}

/* The names of another version: an unknown hash of the key. */
static void test_stale_entries_are_counted(void **state) {
  struct image_fixture *l = *state;
  udm_context_info info;
  for (int arch = 75; arch < 87; ++arch) {
    char name[96];
    snprintf(name, sizeof name, "sm_%d-0123456789abcdef0123456789abcdef-0123456789abcdef.cubin",
             arch);
    write_file(path_in(l->folder, name), "stale", 5);
  }
  l->options.flags = UDM_OPTION_CACHED_ONLY;
  machine_set(l, &without_nvrtc);
  assert_int_equal(create_once(l, 90, &info), UDM_ERROR_NO_IMAGE);
  assert_non_null(strstr(udm_last_error(), "12 stale entries, made from another version"));
}

/* Fails the nth allocation, and only that one. */
struct allocator {
  int nth;
  int count;
};

static void *allocate(void *user_data, size_t bytes) {
  struct allocator *a = user_data;
  return ++a->count == a->nth ? NULL : malloc(bytes);
}

static void deallocate(void *user_data, void *memory) {
  (void)user_data;
  free(memory);
}

/* Whatever lacks memory, the result is that status or the best image, and never a lesser one. */
static void check_lack_of_memory(struct image_fixture *l, const struct machine *m, bool warm,
                                 int least) {
  struct allocator a = {0, 0};
  int refused = 0;
  l->options.allocate = allocate;
  l->options.deallocate = deallocate;
  l->options.allocator_user_data = &a;
  do {
    udm_context_info info;
    if (!warm) cache_empty(l);
    machine_set(l, m);
    ++a.nth;
    a.count = 0;
    const udm_status status = create_once(l, 90, &info);
    const udm_image_source best = warm ? UDM_IMAGE_CACHE : UDM_IMAGE_NVRTC;
    if (status == UDM_ERROR_OUT_OF_MEMORY) {
      ++refused;
      assert_non_null(strstr(udm_last_error(), "no "));
    } else if (status != UDM_OK || info.image_source != best) {
      fail_msg("allocation %d: %s, %s: %s\n%s", a.nth, udm_status_name(status),
               udm_image_source_name(info.image_source), udm_last_error(), l->log);
    }
  } while (a.count >= a.nth);
  assert_true(refused >= least);
  l->options.allocate = NULL;
  l->options.deallocate = NULL;
}

static void test_a_lack_of_memory_is_told_as_such(void **state) {
  struct image_fixture *l = *state;
  check_lack_of_memory(l, &with_nvrtc, false, 3);
  start(l, &with_nvrtc, UDM_IMAGE_CACHE, 0);
  check_lack_of_memory(l, &with_nvrtc, true, 3);
  l->options.flags = UDM_OPTION_CACHED_ONLY;
  check_lack_of_memory(l, &with_nvrtc, true, 3);
}

static void test_nvrtcs_lack_of_memory_is_told_as_such(void **state) {
  struct image_fixture *l = *state;
  static const char *const faults[] = {"nvrtcCreateProgram:1", "nvrtcCompileProgram:1",
                                       "nvrtcGetCUBINSize:1", "nvrtcGetCUBIN:1"};
  for (int i = 0; i < 4; ++i) {
    udm_context_info info;
    const struct machine m = {.nvrtc = "13.0", .nvrtc_fails = faults[i]};
    machine_set(l, &m);
    assert_int_equal(create_once(l, 90, &info), UDM_ERROR_OUT_OF_MEMORY);
    assert_int_equal(entries(l), 0); /* and no lesser image takes the place */
  }
}

/* A layer is enough: nobody misses a folder that strict mode would not write to. */
static void test_strict_mode_misses_no_writable_folder(void **state) {
  struct image_fixture *l = *state;
  start(l, &with_nvrtc, UDM_IMAGE_NVRTC, 0);
  l->options.cache_path = l->folder;
  l->options.cache_dir = NULL;
  l->options.flags = UDM_OPTION_CACHED_ONLY;
  char home[4096];
  snprintf(home, sizeof home, "%s", getenv("HOME") ? getenv("HOME") : "");
  setenv("HOME", l->folder, 1); /* not "": the user's own home may have a cache */
  unsetenv("XDG_CACHE_HOME");
  setenv("UDM_CACHE_DIR", "", 1);
  start(l, &without_nvrtc, UDM_IMAGE_READ_ONLY_LAYER, 0);
  setenv("HOME", home, 1);
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, image_fixture_open, image_fixture_close)
  const struct CMUnitTest tests[] = {
      TEST(test_forbidding_a_compile_once_costs_no_later_start_its_cubin),
      TEST(test_a_broken_nvrtc_costs_no_later_start_its_cubin),
      TEST(test_ptx_of_nvrtc_costs_no_later_start_its_cubin),
      TEST(test_an_old_node_on_a_shared_home),
      TEST(test_a_refused_entry_stays_in_every_mode),
      TEST(test_entries_of_two_majors_serve_two_drivers),
      TEST(test_drivers_from_11_8_to_13),
      TEST(test_strict_mode_takes_the_best_cached_image),
      TEST(test_stale_entries_are_counted),
      TEST(test_a_lack_of_memory_is_told_as_such),
      TEST(test_nvrtcs_lack_of_memory_is_told_as_such),
      TEST(test_strict_mode_misses_no_writable_folder),
  };
  return cmocka_run_group_tests_name("image_order", tests, NULL, NULL);
}
