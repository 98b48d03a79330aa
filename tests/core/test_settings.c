/*
 * test_settings.c: options against the environment, and older and newer callers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_headers.h"
#include "core/settings.h"

static int clear_environment(void **state) {
  (void)state;
  unsetenv("UDM_DRIVER_LIBRARY");
  unsetenv("UDM_NVRTC_LIBRARY");
  unsetenv("UDM_CACHE_DIR");
  unsetenv("UDM_CACHE_PATH");
  unsetenv("UDM_NO_COMPILE");
  unsetenv("UDM_CACHE_MAX_BYTES");
  unsetenv("UDM_CACHE_LOCK_SECONDS");
  return 0;
}

static void test_null_means_defaults(void **state) {
  (void)state;
  struct settings settings;
  assert_int_equal(udm_settings_resolve(NULL, &settings, udm_thread_error()), UDM_OK);
  assert_false(settings.no_compile);
  assert_null(settings.driver_library);
  assert_null(settings.nvrtc_library);
  assert_null(settings.cache_dir);
  assert_null(settings.cache_path);
}

static void test_options_win_over_the_environment(void **state) {
  (void)state;
  struct settings settings;
  udm_options options = UDM_OPTIONS_INIT;
  setenv("UDM_CACHE_DIR", "/of/the/environment", 1);
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
  assert_string_equal(settings.cache_dir, "/of/the/environment");
  options.cache_dir = "/of/the/options";
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
  assert_string_equal(settings.cache_dir, "/of/the/options");
  options.cache_dir = "";
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
  assert_string_equal(settings.cache_dir, "/of/the/environment");
}

static void count_warnings(void *user_data, udm_log_level level, const char *message) {
  int *warnings = user_data;
  *warnings += level == UDM_LOG_WARNING && strstr(message, "UDM_CACHE_") != NULL;
}

static uint64_t max_bytes_of(const char *text, int *warnings) {
  struct settings settings;
  udm_options options = UDM_OPTIONS_INIT;
  options.log = count_warnings;
  options.log_user_data = warnings;
  *warnings = 0;
  if (text) setenv("UDM_CACHE_MAX_BYTES", text, 1);
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
  return settings.cache_max_bytes;
}

static void test_cache_max_bytes(void **state) {
  (void)state;
  static const char *const wrong[] = {
      "0", "-1", "1T", "1 M", "1MB", "much", "99999999999999999999", "17179869184G"};
  const uint64_t normal = (uint64_t)256 << 20;
  int warnings = 0;
  struct settings settings;
  udm_options options = UDM_OPTIONS_INIT;
  assert_int_equal(max_bytes_of(NULL, &warnings), normal);
  assert_int_equal(max_bytes_of("1000", &warnings), 1000);
  assert_int_equal(max_bytes_of("3K", &warnings), 3072);
  assert_int_equal(max_bytes_of("2G", &warnings), (uint64_t)2 << 30);
  assert_int_equal(warnings, 0);
  options.cache_max_bytes = 5;
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
  assert_int_equal(settings.cache_max_bytes, 5);
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    assert_int_equal(max_bytes_of(wrong[i], &warnings), normal);
    assert_int_equal(warnings, 1);
  }
}

static void test_cache_lock_seconds(void **state) {
  (void)state;
  struct settings settings;
  assert_int_equal(udm_settings_resolve(NULL, &settings, udm_thread_error()), UDM_OK);
  assert_int_equal(settings.cache_lock_seconds, 60);
  setenv("UDM_CACHE_LOCK_SECONDS", "0", 1);
  assert_int_equal(udm_settings_resolve(NULL, &settings, udm_thread_error()), UDM_OK);
  assert_int_equal(settings.cache_lock_seconds, 0);
  static const char *const wrong[] = {"-3", "+3",  " 3",    "3 ",
                                      "3s", "1e3", "86401", "9999999999999999999"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    setenv("UDM_CACHE_LOCK_SECONDS", wrong[i], 1);
    assert_int_equal(udm_settings_resolve(NULL, &settings, udm_thread_error()), UDM_OK);
    assert_int_equal(settings.cache_lock_seconds, 60);
  }
}

static void test_no_compile(void **state) {
  (void)state;
  struct settings settings;
  udm_options options = UDM_OPTIONS_INIT;
  setenv("UDM_NO_COMPILE", "0", 1);
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
  assert_false(settings.no_compile);
  setenv("UDM_NO_COMPILE", "1", 1);
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
  assert_true(settings.no_compile);
  assert_false(settings.cached_only);
  setenv("UDM_NO_COMPILE", "strict", 1);
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
  assert_true(settings.no_compile);
  assert_true(settings.cached_only);
  unsetenv("UDM_NO_COMPILE");
  options.flags = UDM_OPTION_NO_COMPILE;
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
  assert_true(settings.no_compile);
  assert_false(settings.cached_only);
  options.flags = UDM_OPTION_CACHED_ONLY;
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
  assert_true(settings.no_compile);
  assert_true(settings.cached_only);
}

static void keep_text(void *user_data, udm_log_level level, const char *message) {
  char *log = user_data;
  if (level == UDM_LOG_WARNING) snprintf(log + strlen(log), 4096 - strlen(log), "%s\n", message);
}

/* A mistyped value of the safety switch means the strictest mode, and the log says so. */
static void test_no_compile_that_is_mistyped(void **state) {
  (void)state;
  static const char *const wrong[] = {"Strict", "stict", "false", "true", "2", " 1", "no"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    char log[4096] = "";
    struct settings settings;
    udm_options options = UDM_OPTIONS_INIT;
    options.log = keep_text;
    options.log_user_data = log;
    setenv("UDM_NO_COMPILE", wrong[i], 1);
    for (int call = 0; call < 3; ++call) { /* one warning, however many calls read it */
      assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
      assert_true(settings.cached_only);
      assert_true(settings.no_compile);
    }
    assert_non_null(strstr(settings.no_compile_reason, wrong[i]));
    assert_non_null(strstr(settings.no_compile_reason, "taken as strict"));
    const char *warning = strstr(log, "UDM_NO_COMPILE is '");
    assert_non_null(warning);
    assert_null(strstr(warning + 1, "UDM_NO_COMPILE is '"));
  }
  unsetenv("UDM_NO_COMPILE");
}

static void test_a_relative_home(void **state) {
  (void)state;
  static const char *const names[] = {"XDG_CACHE_HOME", "HOME"};
  char home[4096];
  snprintf(home, sizeof home, "%s", getenv("HOME") ? getenv("HOME") : "/");
  for (int i = 0; i < 2; ++i) {
    char log[4096] = "";
    struct settings settings;
    udm_options options = UDM_OPTIONS_INIT;
    options.log = keep_text;
    options.log_user_data = log;
    setenv(names[i], "some/where", 1);
    for (int call = 0; call < 3; ++call) {
      assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
    }
    const char *warning = strstr(log, "is 'some/where': it must be an absolute path");
    assert_non_null(warning);
    assert_null(strstr(warning + 15, "some/where"));
    unsetenv(names[i]);
  }
  setenv("HOME", home, 1);
}

/* A caller without a log does not use up the warning of one that has a log. */
static void test_a_warning_waits_for_a_log(void **state) {
  (void)state;
  int warnings = 0;
  struct settings settings;
  setenv("UDM_CACHE_MAX_BYTES", "not heard", 1);
  assert_int_equal(udm_settings_resolve(NULL, &settings, udm_thread_error()), UDM_OK);
  max_bytes_of("not heard", &warnings);
  assert_int_equal(warnings, 1);
  max_bytes_of("not heard", &warnings);
  assert_int_equal(warnings, 0);
  unsetenv("UDM_CACHE_MAX_BYTES");
}

static void test_an_older_caller_has_fewer_fields(void **state) {
  (void)state;
  struct settings settings;
  udm_options options = UDM_OPTIONS_INIT;
  options.nvrtc_library = "/given";
  options.cache_dir = "/beyond the caller's structure";
  options.struct_size = offsetof(udm_options, cache_dir);
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
  assert_string_equal(settings.nvrtc_library, "/given");
  assert_null(settings.cache_dir);
}

static void test_a_newer_caller_must_not_use_what_is_unknown(void **state) {
  (void)state;
  struct settings settings;
  struct {
    udm_options options;
    void *later_field;
  } newer = {UDM_OPTIONS_INIT, NULL};
  newer.options.struct_size = sizeof newer;
  assert_int_equal(udm_settings_resolve(&newer.options, &settings, udm_thread_error()), UDM_OK);
  newer.later_field = &newer;
  assert_int_equal(udm_settings_resolve(&newer.options, &settings, udm_thread_error()),
                   UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "newer udm"));
}

static void test_bad_options_are_named(void **state) {
  (void)state;
  struct settings settings;
  udm_options options = UDM_OPTIONS_INIT;
  options.struct_size = 0;
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()),
                   UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "struct_size"));
  options.struct_size = offsetof(udm_options, driver_library) + 4; /* half a pointer */
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()),
                   UDM_ERROR_INVALID_ARGUMENT);
  options.struct_size = sizeof options;
  options.flags = 0x80;
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()),
                   UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "flags"));
}

static void copy_line(void *user_data, udm_log_level level, const char *message) {
  assert_int_equal(level, UDM_LOG_INFO);
  strcpy(user_data, message); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy) */
}

static void test_log_lines_of_all_lengths_are_whole(void **state) {
  (void)state;
  static char wanted[6000];
  static char got[6000];
  const struct settings settings = {.log = copy_line, .log_user_data = got};
  for (size_t length = 0; length + 1 < sizeof wanted; ++length) {
    udm_log(&settings, UDM_LOG_INFO, "%s", wanted);
    assert_string_equal(got, wanted);
    wanted[length] = (char)('a' + length % 26);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_null_means_defaults, clear_environment),
      cmocka_unit_test_setup(test_options_win_over_the_environment, clear_environment),
      cmocka_unit_test_setup(test_no_compile, clear_environment),
      cmocka_unit_test_setup(test_no_compile_that_is_mistyped, clear_environment),
      cmocka_unit_test_setup(test_a_warning_waits_for_a_log, clear_environment),
      cmocka_unit_test_setup(test_a_relative_home, clear_environment),
      cmocka_unit_test_setup(test_cache_max_bytes, clear_environment),
      cmocka_unit_test_setup(test_cache_lock_seconds, clear_environment),
      cmocka_unit_test_setup(test_an_older_caller_has_fewer_fields, clear_environment),
      cmocka_unit_test_setup(test_a_newer_caller_must_not_use_what_is_unknown, clear_environment),
      cmocka_unit_test_setup(test_bad_options_are_named, clear_environment),
      cmocka_unit_test(test_log_lines_of_all_lengths_are_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
