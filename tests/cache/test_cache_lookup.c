/*
 * test_cache_lookup.c: the cache on a real file system: hits, layers, and every
 * trouble that must be a miss.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache/cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/cache.h"
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

static void store(const struct settings *settings, char path[UDM_PATH_SIZE]) {
  if (udm_cache_store(settings, &key, image, sizeof image, path, udm_thread_error()) != UDM_OK) {
    fail_msg("%s", udm_last_error());
  }
}

/* What a lookup found, and what to say of it. */
struct hits {
  int count;
  int reject; /* how many of the first hits */
  bool writable;
  char image[64]; /* the last hit */
  size_t image_size;
};

/* Rejects hits, accepts the next. Returns what the lookup ends with. */
static udm_status look_up(const struct settings *settings, const struct cache_key *wanted,
                          struct hits *hits) {
  struct cache_lookup *lookup = NULL;
  struct cache_hit hit;
  const unsigned flags = CACHE_LOOKUP_FIRST | CACHE_LOOKUP_REPAIR;
  if (udm_cache_lookup_begin(settings, wanted, flags, &lookup, udm_thread_error()) != UDM_OK) {
    fail_msg("%s", udm_last_error());
  }
  while (udm_cache_lookup_next(lookup, &hit)) {
    assert_true(hit.image_size <= sizeof hits->image);
    memcpy(hits->image, hit.image, hit.image_size);
    hits->image_size = hit.image_size;
    hits->writable = hit.writable;
    if (++hits->count > hits->reject) {
      udm_cache_lookup_accept(lookup);
      break;
    }
    udm_cache_lookup_reject(lookup, CACHE_MISS_REJECTED, "the test's reason");
  }
  return udm_cache_lookup_end(lookup, udm_thread_error());
}

static void assert_hit(const struct settings *settings, const struct cache_key *wanted,
                       bool writable) {
  struct hits hits = {0};
  if (look_up(settings, wanted, &hits) != UDM_OK) {
    fail_msg("%s", udm_last_error());
  }
  assert_int_equal(hits.count, 1);
  assert_int_equal(hits.image_size, sizeof image);
  assert_memory_equal(hits.image, image, sizeof image);
  assert_int_equal(hits.writable, writable);
}

static void assert_miss(const struct settings *settings, const struct cache_key *wanted) {
  struct hits hits = {0};
  assert_int_equal(look_up(settings, wanted, &hits), UDM_ERROR_NOT_FOUND);
  assert_int_equal(hits.count, 0);
}

/* But for the lock file, which stays. */
static int count_files(const char *folder) {
  int count = 0;
  DIR *listing = opendir(folder);
  assert_non_null(listing);
  for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
    const char *name = entry->d_name;
    const bool is_own = strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
    count += is_own && strcmp(name, UDM_CACHE_LOCK_FILE) != 0;
  }
  closedir(listing);
  return count;
}

static void test_store_then_hit(void **state) {
  char path[UDM_PATH_SIZE];
  struct stat status;
  const char *folder = path_in(*state, "a/b/cache");
  const struct settings settings = settings_for(folder);
  assert_miss(&settings, &key);
  store(&settings, path);
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
  store(&settings, path);
  other.producer = NULL;
  assert_hit(&settings, &other, true);
  other.producer = "NVRTC 12.9\n";
  assert_miss(&settings, &other);
  other = key;
  other.text = "source abd\ntarget sm_90\n";
  assert_miss(&settings, &other);
}

/* An entry of `settings` that was made by `producer` so many seconds after 2001-09-09. */
static void store_by(const struct settings *settings, const char *producer, int seconds,
                     char path[UDM_PATH_SIZE]) {
  const struct timespec times[2] = {{1000000000 + seconds, 0}, {1000000000 + seconds, 0}};
  struct cache_key by = key;
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
  struct cache_key any = key;
  any.producer = NULL;
  store_by(&settings, "old", 0, path);
  store_by(&settings, "newest", 2, newest);
  store_by(&settings, "newer", 1, path);
  assert_int_equal(look_up(&settings, &any, &hits), UDM_OK);
  assert_int_equal(hits.count, 2);
  assert_string_equal(hits.image, "newer");
  assert_int_equal(access(newest, F_OK), -1); /* what was refused is gone, the rest stays */
  assert_int_equal(access(path, F_OK), 0);
}

static void test_of_too_many_producers_the_oldest_are_left_out(void **state) {
  char path[UDM_PATH_SIZE];
  char producer[16];
  struct hits hits = {0};
  const struct settings settings = settings_for(*state);
  struct cache_key any = key;
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
  assert_hit(&server, &key, false);
  struct hits hits = {.reject = 9};
  assert_int_equal(look_up(&server, &key, &hits), UDM_ERROR_NOT_FOUND);
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
  assert_int_equal(look_up(&settings, &key, &hits), UDM_ERROR_NOT_FOUND);
  assert_non_null(strstr(udm_last_error(), "shorter than an entry"));
  assert_non_null(strstr(udm_last_error(), "/nonexistent/layer"));
  assert_int_equal(chmod(*state, 0777), 0);
  assert_int_equal(look_up(&settings, &key, &hits), UDM_ERROR_NOT_FOUND);
  assert_non_null(strstr(udm_last_error(), "chmod go-w"));
  assert_int_equal(chmod(*state, 0700), 0);
}

static void damage(const char *path, const void *bytes, size_t size) {
  unlink(path); /* a look-up may have removed it */
  write_file(path, bytes, size);
}

static void test_damage_is_a_miss(void **state) {
  char path[UDM_PATH_SIZE];
  const struct settings settings = settings_for(*state);
  store(&settings, path);
  damage(path, "", 0);
  assert_miss(&settings, &key);
  damage(path, "short", 5);
  assert_miss(&settings, &key);
  assert_int_equal(access(path, F_OK), -1); /* what can never be used is removed */
  assert_int_equal(mkdir(path, 0700), 0);
  assert_miss(&settings, &key);
  assert_int_equal(access(path, F_OK), -1);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_miss(&settings, &key); /* and no wait for a writer */
  assert_int_equal(access(path, F_OK), -1);
  store(&settings, path); /* repairs it */
  assert_hit(&settings, &key, true);
}

static void test_symbolic_links_are_not_followed(void **state) {
  char path[UDM_PATH_SIZE];
  char link_path[UDM_PATH_SIZE];
  snprintf(link_path, sizeof link_path, "%s", path_in(*state, "link"));
  const struct settings settings = settings_for(path_in(*state, "real"));
  store(&settings, path);
  assert_int_equal(symlink("real", link_path), 0);
  const struct settings linked = settings_for(link_path);
  assert_miss(&linked, &key);
  assert_int_equal(
      udm_cache_store(&linked, &key, image, sizeof image, link_path, udm_thread_error()),
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
  store(&settings, path);
  assert_int_equal(chmod(*state, 0777), 0);
  assert_miss(&settings, &key);
  assert_int_equal(udm_cache_store(&settings, &key, image, sizeof image, path, udm_thread_error()),
                   UDM_ERROR_CACHE);
  assert_non_null(strstr(udm_last_error(), "others may write"));
  assert_int_equal(chmod(*state, 0700), 0);
  assert_hit(&settings, &key, true);
}

static void test_a_file_others_may_write_to_is_not_used(void **state) {
  char path[UDM_PATH_SIZE];
  const struct settings settings = settings_for(*state);
  store(&settings, path);
  assert_int_equal(chmod(path, 0666), 0);
  assert_miss(&settings, &key);
  assert_int_equal(chmod(path, 0600), 0);
  assert_hit(&settings, &key, true);
}

static void test_what_belongs_to_somebody_else_is_not_used(void **state) {
  char path[UDM_PATH_SIZE];
  if (geteuid() != 0) skip(); /* only root can give a folder away */
  struct settings settings = settings_for(*state);
  store(&settings, path);
  assert_int_equal(chown(path, 12345, 12345), 0);
  assert_miss(&settings, &key);
  assert_int_equal(chown(path, 0, 0), 0);
  assert_int_equal(chown(*state, 12345, 12345), 0);
  assert_miss(&settings, &key);
  settings.cache_path = settings.cache_dir;
  settings.cache_dir = "/nonexistent";
  assert_miss(&settings, &key);
  assert_int_equal(chown(*state, 0, 0), 0);
  assert_hit(&settings, &key, false);
}

static void test_a_folder_that_cannot_be_made_is_an_error_of_storing_only(void **state) {
  char path[UDM_PATH_SIZE];
  write_file(path_in(*state, "file"), "x", 1);
  const struct settings settings = settings_for(path_in(*state, "file/cache"));
  assert_miss(&settings, &key);
  assert_int_equal(udm_cache_store(&settings, &key, image, sizeof image, path, udm_thread_error()),
                   UDM_ERROR_CACHE);
  assert_non_null(strstr(udm_last_error(), "UDM_CACHE_DIR"));
}

/* As eight containers do that share one folder and each have the process number 1. */
static void test_many_processes_store_into_one_folder(void **state) {
  enum { PROCESSES = 8, ROUNDS = 20 };
  const struct settings settings = settings_for(*state);
  pid_t children[PROCESSES];
  for (int p = 0; p < PROCESSES; ++p) {
    children[p] = fork();
    assert_true(children[p] >= 0);
    if (children[p] != 0) continue;
    char producer[16];
    char path[UDM_PATH_SIZE];
    bool good = true;
    snprintf(producer, sizeof producer, "process %d", p % 4); /* two of each */
    struct cache_key mine = key;
    mine.producer = producer;
    for (int round = 0; round < ROUNDS; ++round) {
      struct hits hits = {0};
      good = good && udm_cache_store(&settings, &mine, producer, sizeof producer, path,
                                     udm_thread_error()) == UDM_OK;
      good = good && look_up(&settings, &mine, &hits) == UDM_OK;
      good = good && strcmp(hits.image, producer) == 0;
    }
    _exit(good ? 0 : 1);
  }
  for (int p = 0; p < PROCESSES; ++p) {
    int result = -1;
    assert_int_equal(waitpid(children[p], &result, 0), children[p]);
    assert_int_equal(result, 0);
  }
  assert_int_equal(count_files(*state), 4); /* no temporary file stays */
}

/* The folder's path just fits, an entry's path does not: work goes by the folder's descriptor. */
static void test_an_entry_whose_path_is_too_long_works_all_the_same(void **state) {
  char path[UDM_PATH_SIZE];
  static char folder[UDM_PATH_SIZE];
  snprintf(folder, sizeof folder, "%s", (const char *)*state);
  while (strlen(folder) < UDM_PATH_SIZE - 220) {
    udm_append(folder, sizeof folder, "/a-folder-with-a-name-of-30-bytes");
  }
  const struct settings settings = settings_for(folder);
  struct hits hits = {.reject = 1};
  store(&settings, path);
  assert_hit(&settings, &key, true);
  assert_int_equal(look_up(&settings, &key, &hits), UDM_ERROR_NOT_FOUND);
  assert_miss(&settings, &key); /* evicted */
}

static void test_a_folder_in_an_entrys_place_gives_way(void **state) {
  char path[UDM_PATH_SIZE];
  char again[UDM_PATH_SIZE];
  char aside[2 * UDM_PATH_SIZE];
  struct stat status;
  const struct settings settings = settings_for(*state);
  store(&settings, path);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_miss(&settings, &key);
  store(&settings, again);
  assert_hit(&settings, &key, true);
  assert_int_equal(unlink(path), 0);
  write_file(path_in(path, "somebody's"), "x", 1);
  assert_int_equal(stat(path, &status), 0);
  store(&settings, again);
  assert_hit(&settings, &key, true);
  snprintf(aside, sizeof aside, "%s.folder-%llx/somebody's", path,
           (unsigned long long)status.st_ino);
  assert_int_equal(access(aside, F_OK), 0); /* nothing is lost */
}

int main(void) {
#define IN_FOLDER(test) \
  cmocka_unit_test_setup_teardown(test, make_temporary_folder, remove_temporary_folder)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(test_store_then_hit),
      IN_FOLDER(test_any_producer_and_a_certain_one),
      IN_FOLDER(test_the_newest_producer_comes_first_and_the_next_after_a_rejection),
      IN_FOLDER(test_of_too_many_producers_the_oldest_are_left_out),
      IN_FOLDER(test_read_only_layers_in_order),
      IN_FOLDER(test_the_reason_of_every_layer_is_told),
      IN_FOLDER(test_damage_is_a_miss),
      IN_FOLDER(test_symbolic_links_are_not_followed),
      IN_FOLDER(test_a_folder_others_may_write_to_is_not_used),
      IN_FOLDER(test_a_file_others_may_write_to_is_not_used),
      IN_FOLDER(test_what_belongs_to_somebody_else_is_not_used),
      IN_FOLDER(test_many_processes_store_into_one_folder),
      IN_FOLDER(test_an_entry_whose_path_is_too_long_works_all_the_same),
      IN_FOLDER(test_a_folder_that_cannot_be_made_is_an_error_of_storing_only),
      IN_FOLDER(test_a_folder_in_an_entrys_place_gives_way),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
