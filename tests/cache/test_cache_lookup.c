/*
 * test_cache_lookup.c: lookups on a real file system: which entries they find, in
 * which order, and what counts as a miss. Damage that a whole udm_create() repairs:
 * test_cache_lookup_damage.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/cache.h"
#include "cmocka_headers.h"
#include "look_up.h"
#include "temporary_folder.h"

static void test_any_producer_and_a_certain_one(void **state) {
  char path[UDM_PATH_SIZE];
  const struct settings settings = settings_for(*state);
  struct cache_key other = test_key;
  store(&settings, path);
  other.producer = NULL;
  assert_hit(&settings, &other, true);
  other.producer = "NVRTC 12.9\n";
  assert_miss(&settings, &other);
  other = test_key;
  other.text = "source abd\ntarget sm_90\n";
  assert_miss(&settings, &other);
}

/* Stores an entry of this producer with a date so many seconds after 2001-09-09. */
static void store_by(const struct settings *settings, const char *producer, int seconds,
                     char path[UDM_PATH_SIZE]) {
  const struct timespec times[2] = {{1000000000 + seconds, 0}, {1000000000 + seconds, 0}};
  struct cache_key by = test_key;
  by.producer = producer;
  assert_int_equal(
      udm_cache_store(settings, &by, producer, strlen(producer) + 1, path, udm_thread_error()),
      UDM_OK);
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_the_newest_producer_comes_first_and_the_next_after_a_rejection(void **state) {
  char newest[UDM_PATH_SIZE];
  char path[UDM_PATH_SIZE];
  struct hits hits = {.reject = 1};
  const struct settings settings = settings_for(*state);
  struct cache_key any = test_key;
  any.producer = NULL;
  store_by(&settings, "old", 0, path);
  store_by(&settings, "newest", 2, newest);
  store_by(&settings, "newer", 1, path);
  assert_int_equal(look_up(&settings, &any, &hits), UDM_OK);
  assert_int_equal(hits.count, 2);
  assert_string_equal(hits.image, "newer");
  assert_int_equal(access(newest, F_OK), -1); /* the rejected entry is gone, the others stay */
  assert_int_equal(access(path, F_OK), 0);
}

static void test_of_too_many_producers_the_oldest_are_left_out(void **state) {
  char path[UDM_PATH_SIZE];
  char producer[16];
  struct hits hits = {0};
  const struct settings settings = settings_for(*state);
  struct cache_key any = test_key;
  any.producer = NULL;
  for (int i = 0; i < 50; ++i) {
    snprintf(producer, sizeof producer, "%d", i * 37 % 50);
    store_by(&settings, producer, i * 37 % 50, path);
  }
  assert_int_equal(look_up(&settings, &any, &hits), UDM_OK);
  assert_string_equal(hits.image, "49");
}

static void test_read_only_layers_in_order(void **state) {
  char path[UDM_PATH_SIZE];
  char layers[2 * UDM_PATH_SIZE];
  char layer[UDM_PATH_SIZE];
  snprintf(layer, sizeof layer, "%s", path_in(*state, "layer"));
  const struct settings builder = settings_for(layer);
  store(&builder, path);
  struct settings server = settings_for(path_in(*state, "empty"));
  snprintf(layers, sizeof layers, "/nonexistent::%s/", layer);
  server.cache_path = layers;
  assert_hit(&server, &test_key, false);
  struct hits hits = {.reject = 9};
  assert_int_equal(look_up(&server, &test_key, &hits), UDM_ERROR_NOT_FOUND);
  assert_int_equal(hits.count, 1);
  assert_int_equal(access(path, F_OK), 0); /* nothing is removed from a read-only layer */
}

static void test_the_reason_of_every_layer_is_told(void **state) {
  char path[UDM_PATH_SIZE];
  struct hits hits = {0};
  struct settings settings = settings_for(*state);
  store(&settings, path);
  write_file(path, "damaged", 7);
  settings.cache_path = "/nonexistent/layer";
  assert_int_equal(look_up(&settings, &test_key, &hits), UDM_ERROR_NOT_FOUND);
  assert_non_null(strstr(udm_last_error(), "shorter than an entry"));
  assert_non_null(strstr(udm_last_error(), "/nonexistent/layer"));
  assert_int_equal(chmod(*state, 0777), 0);
  assert_int_equal(look_up(&settings, &test_key, &hits), UDM_ERROR_NOT_FOUND);
  assert_non_null(strstr(udm_last_error(), "chmod go-w"));
  assert_int_equal(chmod(*state, 0700), 0);
}

static void damage(const char *path, const void *bytes, size_t size) {
  unlink(path); /* a lookup may have removed it */
  write_file(path, bytes, size);
}

static void test_damage_is_a_miss(void **state) {
  char path[UDM_PATH_SIZE];
  const struct settings settings = settings_for(*state);
  store(&settings, path);
  damage(path, "", 0);
  assert_miss(&settings, &test_key);
  damage(path, "short", 5);
  assert_miss(&settings, &test_key);
  assert_int_equal(access(path, F_OK), -1); /* a file that can never be used is removed */
  assert_int_equal(mkdir(path, 0700), 0);
  assert_miss(&settings, &test_key);
  assert_int_equal(access(path, F_OK), -1);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_miss(&settings, &test_key); /* and does not wait for a writer */
  assert_int_equal(access(path, F_OK), -1);
  store(&settings, path); /* repairs it */
  assert_hit(&settings, &test_key, true);
}

static void test_a_file_others_may_write_to_is_not_used(void **state) {
  char path[UDM_PATH_SIZE];
  const struct settings settings = settings_for(*state);
  store(&settings, path);
  assert_int_equal(chmod(path, 0666), 0);
  assert_miss(&settings, &test_key);
  assert_int_equal(chmod(path, 0600), 0);
  assert_hit(&settings, &test_key, true);
}

int main(void) {
#define IN_FOLDER(test) \
  cmocka_unit_test_setup_teardown(test, make_temporary_folder, remove_temporary_folder)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(test_any_producer_and_a_certain_one),
      IN_FOLDER(test_the_newest_producer_comes_first_and_the_next_after_a_rejection),
      IN_FOLDER(test_of_too_many_producers_the_oldest_are_left_out),
      IN_FOLDER(test_read_only_layers_in_order),
      IN_FOLDER(test_the_reason_of_every_layer_is_told),
      IN_FOLDER(test_damage_is_a_miss),
      IN_FOLDER(test_a_file_others_may_write_to_is_not_used),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
