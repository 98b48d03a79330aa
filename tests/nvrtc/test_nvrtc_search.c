/*
 * test_nvrtc_search.c: the order in which NVRTC is looked for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nvrtc/nvrtc_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_headers.h"
#include "nvrtc/nvrtc.h"
#include "temporary_folder.h"

/* The candidates of the search, one "candidate\n" after the other; "*" marks already-loaded only.
 */
struct offered {
  char text[65536];
  int count;
  int stop_after; /* 0: never */
};

static bool remember(void *user_data, const char *library, bool already_loaded) {
  struct offered *offered = user_data;
  const size_t used = strlen(offered->text);
  snprintf(offered->text + used, sizeof offered->text - used, "%s%s\n", already_loaded ? "*" : "",
           library);
  ++offered->count;
  return offered->count == offered->stop_after;
}

static void search(const struct settings *settings, struct offered *offered) {
  offered->text[0] = '\0';
  offered->count = 0;
  udm_nvrtc_search(settings, remember, offered);
}

static int clear_environment(void) {
  unsetenv("CUDA_HOME");
  unsetenv("CUDA_PATH");
  unsetenv("VIRTUAL_ENV");
  unsetenv("CONDA_PREFIX");
  return 0;
}

static int setup(void **state) { return clear_environment() || make_temporary_folder(state); }

static int teardown(void **state) {
  clear_environment();
  return remove_temporary_folder(state);
}

static void assert_before(const struct offered *offered, const char *first, const char *second) {
  const char *a = strstr(offered->text, first);
  const char *b = strstr(offered->text, second);
  if (!a) fail_msg("%s was not offered", first);
  if (!b) fail_msg("%s was not offered", second);
  if (a >= b) fail_msg("%s comes after %s", first, second);
}

static void test_explicit_is_the_only_candidate(void **state) {
  (void)state;
  static struct offered offered;
  struct settings settings;
  memset(&settings, 0, sizeof settings);
  settings.nvrtc_library = "/given/libnvrtc.so";
  search(&settings, &offered);
  assert_string_equal(offered.text, "/given/libnvrtc.so\n");
}

static void test_order(void **state) {
  static struct offered offered;
  struct settings settings;
  char root[512];
  memset(&settings, 0, sizeof settings);
  snprintf(root, sizeof root, "%s", (const char *)*state);
  write_file(path_in(root, "toolkit/lib64/libnvrtc.so.12"), "", 0);
  write_file(path_in(root, "toolkit/lib64/libnvrtc-builtins.so.12.9"), "", 0);
  write_file(path_in(root, "toolkit/lib64/libnvrtc.alt.so.12"), "", 0);
  write_file(path_in(root, "path/lib64/libnvrtc.so.11.2"), "", 0);
  const char *venv = "venv/lib/python3.9/site-packages/nvidia";
  char wheel[512];
  snprintf(wheel, sizeof wheel, "%s/cuda_nvrtc/lib/libnvrtc.so.12", venv);
  write_file(path_in(root, wheel), "", 0);
  snprintf(wheel, sizeof wheel, "%s/cu13/lib/libnvrtc.so.13", venv);
  write_file(path_in(root, wheel), "", 0);
  setenv("CUDA_HOME", path_in(root, "toolkit"), 1);
  setenv("CUDA_PATH", path_in(root, "path"), 1);
  setenv("VIRTUAL_ENV", path_in(root, "venv"), 1);
  search(&settings, &offered);

  assert_before(&offered, "*libnvrtc.so.13\n", "\nlibnvrtc.so.13\n");
  assert_before(&offered, "\nlibnvrtc.so.13\n", "\nlibnvrtc.so.12\n");
  assert_before(&offered, "\nlibnvrtc.so.12\n", "\nlibnvrtc.so.11.2\n");
  assert_before(&offered, "\nlibnvrtc.so\n", "/toolkit/lib64/libnvrtc.so.12\n");
  assert_before(&offered, "/toolkit/lib64/libnvrtc.so.12\n", "/path/lib64/libnvrtc.so.11.2\n");
  assert_before(&offered, "/path/lib64/libnvrtc.so.11.2\n", "/cu13/lib/libnvrtc.so.13\n");
  assert_before(&offered, "/cu13/lib/libnvrtc.so.13\n", "/cuda_nvrtc/lib/libnvrtc.so.12\n");
  assert_null(strstr(offered.text, "builtins"));
  assert_null(strstr(offered.text, "alt"));
}

static void test_newer_toolkits_first(void **state) {
  static struct offered offered;
  struct settings settings;
  memset(&settings, 0, sizeof settings);
  write_file(path_in(*state, "lib64/libnvrtc.so.9"), "", 0);
  write_file(path_in(*state, "lib64/libnvrtc.so.10"), "", 0);
  setenv("CUDA_HOME", *state, 1);
  search(&settings, &offered);
  assert_before(&offered, "/lib64/libnvrtc.so.10\n", "/lib64/libnvrtc.so.9\n");
}

static void test_a_folder_with_a_pattern_for_a_name(void **state) {
  static struct offered offered;
  struct settings settings;
  memset(&settings, 0, sizeof settings);
  write_file(path_in(*state, "my[ven?v]*/lib64/libnvrtc.so.13"), "", 0);
  setenv("CUDA_HOME", path_in(*state, "my[ven?v]*"), 1);
  search(&settings, &offered);
  assert_non_null(strstr(offered.text, "my[ven?v]*/lib64/libnvrtc.so.13\n"));
}

static void test_the_search_stops_on_request(void **state) {
  (void)state;
  static struct offered offered;
  struct settings settings;
  memset(&settings, 0, sizeof settings);
  offered.stop_after = 3;
  search(&settings, &offered);
  offered.stop_after = 0;
  assert_int_equal(offered.count, 3);
}

static void test_what_is_no_nvrtc_is_reported(void **state) {
  struct settings settings;
  static struct nvrtc nvrtc;
  memset(&settings, 0, sizeof settings);
  settings.nvrtc_library = "/nonexistent/libnvrtc.so";
  assert_int_equal(udm_nvrtc_open(&settings, &nvrtc, udm_thread_error()), UDM_ERROR_NO_NVRTC);
  assert_non_null(strstr(udm_last_error(), "/nonexistent/libnvrtc.so"));
  assert_non_null(strstr(udm_last_error(), "UDM_NVRTC_LIBRARY"));
  const char *text = path_in(*state, "text.so");
  write_file(text, "no ELF", 6);
  settings.nvrtc_library = text;
  assert_int_equal(udm_nvrtc_open(&settings, &nvrtc, udm_thread_error()), UDM_ERROR_NO_NVRTC);
  assert_non_null(strstr(udm_last_error(), "text.so"));
  settings.nvrtc_library = "libc.so.6"; /* a library, but another one */
  assert_int_equal(udm_nvrtc_open(&settings, &nvrtc, udm_thread_error()), UDM_ERROR_NO_NVRTC);
  assert_non_null(strstr(udm_last_error(), "nvrtcVersion"));
}

static void test_the_highest_arch_of_a_range(void **state) {
  (void)state;
  static struct nvrtc nvrtc;
  const int archs[] = {75, 80, 86, 90, 100, 120};
  nvrtc.arch_count = 6;
  memcpy(nvrtc.archs, archs, sizeof archs);
  assert_int_equal(udm_nvrtc_arch_below(&nvrtc, 80, 86), 86);
  assert_int_equal(udm_nvrtc_arch_below(&nvrtc, 80, 89), 86);
  assert_int_equal(udm_nvrtc_arch_below(&nvrtc, 80, 85), 80);
  assert_int_equal(udm_nvrtc_arch_below(&nvrtc, 100, 103), 100);
  assert_int_equal(udm_nvrtc_arch_below(&nvrtc, 70, 70), 0); /* sm_75 does not run on it */
  assert_int_equal(udm_nvrtc_arch_below(&nvrtc, 110, 110), 0);
  assert_int_equal(udm_nvrtc_arch_below(&nvrtc, 70, 130), 120);
  assert_int_equal(udm_nvrtc_arch_below(&nvrtc, 80, 79), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_explicit_is_the_only_candidate, setup, teardown),
      cmocka_unit_test_setup_teardown(test_order, setup, teardown),
      cmocka_unit_test_setup_teardown(test_newer_toolkits_first, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_folder_with_a_pattern_for_a_name, setup, teardown),
      cmocka_unit_test_setup_teardown(test_the_search_stops_on_request, setup, teardown),
      cmocka_unit_test_setup_teardown(test_what_is_no_nvrtc_is_reported, setup, teardown),
      cmocka_unit_test(test_the_highest_arch_of_a_range),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
