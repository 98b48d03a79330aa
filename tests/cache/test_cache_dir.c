/*
 * test_cache_dir.c: where the layers of the cache lie, and which are trusted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache/cache.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmocka_headers.h"
#include "look_up.h"
#include "temporary_folder.h"

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

/* Without settings, the environment alone determines the path. */
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
  setenv("XDG_CACHE_HOME", "relative", 1); /* XDG: a relative path is ignored */
  assert_writable_path("/home/someone/.cache/udm");
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  const struct passwd *user = getpwuid(geteuid());
  char expected[UDM_PATH_SIZE] = "";
  if (user) snprintf(expected, sizeof expected, "%s/.cache/udm", user->pw_dir);
  assert_writable_path(expected); /* the user database, if it knows the user */
  assert_false(udm_cache_dir_at(&settings, 1, &dir));
}

static void test_symbolic_links_are_not_followed(void **state) {
  char path[UDM_PATH_SIZE];
  char link_path[UDM_PATH_SIZE];
  snprintf(link_path, sizeof link_path, "%s", path_in(*state, "link"));
  const struct settings settings = settings_for(path_in(*state, "real"));
  store(&settings, path);
  assert_int_equal(symlink("real", link_path), 0);
  const struct settings linked = settings_for(link_path);
  assert_miss(&linked, &test_key);
  assert_int_equal(udm_cache_store(&linked, &test_key, test_image, sizeof test_image, link_path,
                                   udm_thread_error()),
                   UDM_ERROR_CACHE);
  assert_non_null(strstr(udm_last_error(), "symbolic link"));
  char moved[UDM_PATH_SIZE + 8];
  snprintf(moved, sizeof moved, "%s.moved", path);
  assert_int_equal(rename(path, moved), 0);
  assert_int_equal(symlink(moved, path), 0);
  assert_miss(&settings, &test_key);
}

static void test_a_folder_others_may_write_to_is_not_used(void **state) {
  char path[UDM_PATH_SIZE];
  const struct settings settings = settings_for(*state);
  store(&settings, path);
  assert_int_equal(chmod(*state, 0777), 0);
  assert_miss(&settings, &test_key);
  assert_int_equal(udm_cache_store(&settings, &test_key, test_image, sizeof test_image, path,
                                   udm_thread_error()),
                   UDM_ERROR_CACHE);
  assert_non_null(strstr(udm_last_error(), "others may write"));
  assert_int_equal(chmod(*state, 0700), 0);
  assert_hit(&settings, &test_key, true);
}

static void test_what_belongs_to_somebody_else_is_not_used(void **state) {
  char path[UDM_PATH_SIZE];
  if (geteuid() != 0) skip(); /* only root can give a folder away */
  struct settings settings = settings_for(*state);
  store(&settings, path);
  assert_int_equal(chown(path, 12345, 12345), 0);
  assert_miss(&settings, &test_key);
  assert_int_equal(chown(path, 0, 0), 0);
  assert_int_equal(chown(*state, 12345, 12345), 0);
  assert_miss(&settings, &test_key);
  settings.cache_path = settings.cache_dir;
  settings.cache_dir = "/nonexistent";
  assert_miss(&settings, &test_key);
  assert_int_equal(chown(*state, 0, 0), 0);
  assert_hit(&settings, &test_key, false);
}

int main(void) {
#define IN_FOLDER(test) \
  cmocka_unit_test_setup_teardown(test, make_temporary_folder, remove_temporary_folder)
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_path_that_is_too_long),
      cmocka_unit_test(test_default_folders),
      IN_FOLDER(test_symbolic_links_are_not_followed),
      IN_FOLDER(test_a_folder_others_may_write_to_is_not_used),
      IN_FOLDER(test_what_belongs_to_somebody_else_is_not_used),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
