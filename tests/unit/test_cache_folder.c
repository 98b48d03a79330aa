/*
 * test_cache_folder.c: where the layers of the cache lie.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache/cache.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmocka_headers.h"

static struct settings settings_for(const char *folder) {
  struct settings settings;
  memset(&settings, 0, sizeof settings);
  settings.cache_dir = folder;
  return settings;
}

static void test_a_path_that_is_too_long(void **state) {
  static char folder[2 * UDM_PATH_SIZE];
  struct cache_dir dir;
  (void)state;
  memset(folder, 'a', sizeof folder - 1);
  folder[0] = '/';
  struct settings settings = settings_for(folder);
  settings.cache_path = folder;
  for (int index = 0; index < 2; ++index) {
    assert_true(udm_cache_dir_at(&settings, index, &dir));
    assert_non_null(strstr(dir.path, "too long"));
    assert_int_equal(udm_cache_dir_open(&dir, true, udm_thread_error()), UDM_ERROR_CACHE);
    assert_string_equal(udm_last_error(), "shorten it");
    udm_cache_dir_close(&dir);
  }
}

/* The path without settings, from the environment alone. */
static void assert_writable_path(const char *expected) {
  struct cache_dir dir;
  const struct settings settings = settings_for(NULL);
  assert_true(udm_cache_dir_at(&settings, 0, &dir));
  assert_string_equal(dir.path, expected);
  udm_cache_dir_close(&dir);
}

static void test_default_folders(void **state) {
  (void)state;
  struct cache_dir dir;
  const struct settings settings = settings_for(NULL);
  setenv("XDG_CACHE_HOME", "/xdg", 1);
  setenv("HOME", "/home/someone", 1);
  assert_writable_path("/xdg/udm");
  setenv("XDG_CACHE_HOME", "relative", 1); /* the XDG rules: ignored */
  assert_writable_path("/home/someone/.cache/udm");
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  const struct passwd *user = getpwuid(geteuid());
  char expected[UDM_PATH_SIZE] = "";
  if (user) snprintf(expected, sizeof expected, "%s/.cache/udm", user->pw_dir);
  assert_writable_path(expected); /* the user database, if it knows the user */
  assert_false(udm_cache_dir_at(&settings, 1, &dir));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_path_that_is_too_long),
      cmocka_unit_test(test_default_folders),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
