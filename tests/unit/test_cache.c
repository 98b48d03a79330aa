/*
 * test_cache.c: the cache on a real file system: hits, layers, and every
 * trouble that must be a miss.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmocka_headers.h"
#include "temporary_folder.h"

static const char image[] = "\177ELF not really an image";
static const struct cache_key key = {"sm_90", "source abc\ntarget sm_90\n", "NVRTC 13.0\n"};

static struct settings settings_for(const char *folder) {
  struct settings settings;
  memset(&settings, 0, sizeof settings);
  settings.cache_dir = folder;
  return settings;
}

static void publish(const struct settings *settings, char path[UDM_PATH_SIZE]) {
  if (udm_cache_publish(settings, &key, image, sizeof image, path) != UDM_OK) {
    fail_msg("%s", udm_last_error());
  }
}

static void assert_hit(const struct settings *settings, const struct cache_key *wanted,
                       bool writable) {
  struct cache_hit hit;
  if (udm_cache_lookup(settings, wanted, &hit) != UDM_OK) fail_msg("%s", udm_last_error());
  assert_int_equal(hit.image_size, sizeof image);
  assert_memory_equal(hit.bytes, image, sizeof image);
  assert_int_equal(hit.writable, writable);
  free(hit.bytes);
}

static void assert_miss(const struct settings *settings, const struct cache_key *wanted) {
  struct cache_hit hit;
  assert_int_equal(udm_cache_lookup(settings, wanted, &hit), UDM_ERROR_NOT_FOUND);
}

static int count_files(const char *folder) {
  int count = 0;
  DIR *listing = opendir(folder);
  assert_non_null(listing);
  for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
    count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
  }
  closedir(listing);
  return count;
}

static void test_publish_then_hit(void **state) {
  char path[UDM_PATH_SIZE];
  struct stat status;
  const char *folder = path_in(*state, "a/b/cache");
  const struct settings settings = settings_for(folder);
  assert_miss(&settings, &key);
  publish(&settings, path);
  assert_hit(&settings, &key, true);
  assert_int_equal(stat(folder, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0700);
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0600);
  assert_int_equal(count_files(folder), 1); /* no temporary file stays */
}

static void test_any_producer_and_a_certain_one(void **state) {
  char path[UDM_PATH_SIZE];
  const struct settings settings = settings_for(*state);
  struct cache_key other = key;
  publish(&settings, path);
  other.producer = NULL;
  assert_hit(&settings, &other, true);
  other.producer = "NVRTC 12.9\n";
  assert_miss(&settings, &other);
  other = key;
  other.material = "source abd\ntarget sm_90\n";
  assert_miss(&settings, &other);
}

static void test_the_newest_producer_wins(void **state) {
  char path[UDM_PATH_SIZE];
  struct cache_hit hit;
  const struct settings settings = settings_for(*state);
  const struct timespec past[2] = {{1000000000, 0}, {1000000000, 0}};
  struct cache_key newer = key;
  publish(&settings, path);
  assert_int_equal(utimensat(AT_FDCWD, path, past, 0), 0);
  newer.producer = "NVRTC 14.0\n";
  assert_int_equal(udm_cache_publish(&settings, &newer, "newer", 6, path), UDM_OK);
  newer.producer = NULL;
  assert_int_equal(udm_cache_lookup(&settings, &newer, &hit), UDM_OK);
  assert_string_equal((const char *)hit.bytes, "newer");
  free(hit.bytes);
}

static void test_read_only_layers_in_order(void **state) {
  char path[UDM_PATH_SIZE];
  char layers[2 * UDM_PATH_SIZE];
  char layer[UDM_PATH_SIZE];
  snprintf(layer, sizeof layer, "%s", path_in(*state, "layer"));
  const struct settings builder = settings_for(layer);
  publish(&builder, path);
  struct settings server = settings_for(path_in(*state, "empty"));
  snprintf(layers, sizeof layers, "/nonexistent::%s/", layer);
  server.cache_path = layers;
  assert_hit(&server, &key, false);
}

static void damage(const char *path, const void *bytes, size_t size) {
  assert_int_equal(unlink(path), 0);
  write_file(path, bytes, size);
}

static void test_damage_is_a_miss(void **state) {
  char path[UDM_PATH_SIZE];
  const struct settings settings = settings_for(*state);
  publish(&settings, path);
  damage(path, "", 0);
  assert_miss(&settings, &key);
  damage(path, "short", 5);
  assert_miss(&settings, &key);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_miss(&settings, &key);
  assert_int_equal(rmdir(path), 0);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_miss(&settings, &key); /* and no wait for a writer */
  publish(&settings, path);     /* repairs it */
  assert_hit(&settings, &key, true);
}

static void test_symbolic_links_are_not_followed(void **state) {
  char path[UDM_PATH_SIZE];
  char link_path[UDM_PATH_SIZE];
  snprintf(link_path, sizeof link_path, "%s", path_in(*state, "link"));
  const struct settings settings = settings_for(path_in(*state, "real"));
  publish(&settings, path);
  assert_int_equal(symlink("real", link_path), 0);
  const struct settings linked = settings_for(link_path);
  assert_miss(&linked, &key);
  assert_int_equal(udm_cache_publish(&linked, &key, image, sizeof image, link_path),
                   UDM_ERROR_CACHE);
  assert_non_null(strstr(udm_last_error(), "symbolic link"));
  char moved[UDM_PATH_SIZE + 8];
  snprintf(moved, sizeof moved, "%s.moved", path);
  assert_int_equal(rename(path, moved), 0);
  assert_int_equal(symlink(moved, path), 0);
  assert_miss(&settings, &key);
}

static void test_a_folder_others_may_write_to_is_not_used(void **state) {
  char path[UDM_PATH_SIZE];
  const struct settings settings = settings_for(*state);
  publish(&settings, path);
  assert_int_equal(chmod(*state, 0777), 0);
  assert_miss(&settings, &key);
  assert_int_equal(udm_cache_publish(&settings, &key, image, sizeof image, path), UDM_ERROR_CACHE);
  assert_non_null(strstr(udm_last_error(), "others may write"));
  assert_int_equal(chmod(*state, 0700), 0);
  assert_hit(&settings, &key, true);
}

static void test_a_folder_that_cannot_be_made_is_an_error_of_publish_only(void **state) {
  char path[UDM_PATH_SIZE];
  write_file(path_in(*state, "file"), "x", 1);
  const struct settings settings = settings_for(path_in(*state, "file/cache"));
  assert_miss(&settings, &key);
  assert_int_equal(udm_cache_publish(&settings, &key, image, sizeof image, path), UDM_ERROR_CACHE);
  assert_non_null(strstr(udm_last_error(), "UDM_CACHE_DIR"));
}

/* A folder that is not empty stands in the entry's place: the rename fails, at the last step. */
static void test_a_publish_that_fails_half_way_leaves_nothing(void **state) {
  char path[UDM_PATH_SIZE];
  char again[UDM_PATH_SIZE];
  const struct settings settings = settings_for(*state);
  publish(&settings, path);
  assert_int_equal(unlink(path), 0);
  write_file(path_in(path, "file"), "x", 1);
  assert_int_equal(udm_cache_publish(&settings, &key, image, sizeof image, again), UDM_ERROR_CACHE);
  assert_non_null(strstr(udm_last_error(), "renameat"));
  assert_int_equal(count_files(*state), 1); /* the folder in its place, no temporary file */
}

static void test_places(void **state) {
  (void)state;
  struct cache_layer layer;
  const struct settings settings = settings_for(NULL);
  setenv("XDG_CACHE_HOME", "/xdg", 1);
  setenv("HOME", "/home/someone", 1);
  assert_true(udm_cache_layer_at(&settings, 0, &layer));
  assert_string_equal(layer.path, "/xdg/udm");
  setenv("XDG_CACHE_HOME", "relative", 1); /* the XDG rules: ignored */
  assert_true(udm_cache_layer_at(&settings, 0, &layer));
  assert_string_equal(layer.path, "/home/someone/.cache/udm");
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  assert_true(udm_cache_layer_at(&settings, 0, &layer)); /* the user database, where there is one */
  assert_true(layer.path[0] == '\0' || strstr(layer.path, "/.cache/udm"));
  assert_null(strstr(layer.path, "/tmp/"));
  assert_false(udm_cache_layer_at(&settings, 1, &layer));
}

int main(void) {
#define IN_FOLDER(test) \
  cmocka_unit_test_setup_teardown(test, make_temporary_folder, remove_temporary_folder)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(test_publish_then_hit),
      IN_FOLDER(test_any_producer_and_a_certain_one),
      IN_FOLDER(test_the_newest_producer_wins),
      IN_FOLDER(test_read_only_layers_in_order),
      IN_FOLDER(test_damage_is_a_miss),
      IN_FOLDER(test_symbolic_links_are_not_followed),
      IN_FOLDER(test_a_folder_others_may_write_to_is_not_used),
      IN_FOLDER(test_a_folder_that_cannot_be_made_is_an_error_of_publish_only),
      IN_FOLDER(test_a_publish_that_fails_half_way_leaves_nothing),
      cmocka_unit_test(test_places),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
