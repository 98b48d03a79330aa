/*
 * test_cache_lookup_damage.c: every kind of damage to an entry. udm_cache_enumerate()
 * names it, a udm_create() misses and repairs it, and the next finds a warm cache.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cache/cache.h"
#include "cache_fixture.h"
#include "core/allocator.h"
#include "temporary_folder.h"

enum { OTHER_ARCH = 80, BUFFER_SIZE = 1 << 16 };

static struct create_result result;

/* A file and its bytes before they were damaged. */
struct entry {
  char path[UDM_PATH_SIZE];
  unsigned char bytes[BUFFER_SIZE];
  size_t size;
};

static size_t read_file(const char *path, unsigned char bytes[BUFFER_SIZE]) {
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  const size_t size = fread(bytes, 1, BUFFER_SIZE, file);
  assert_int_equal(fclose(file), 0);
  assert_true(size > 0 && size < BUFFER_SIZE);
  return size;
}

static void make_entry(struct entry *entry) {
  clear_cache();
  prewarm(entry->path);
  entry->size = read_file(entry->path, entry->bytes);
}

static void write_bytes(const struct entry *entry, size_t size) {
  write_file(entry->path, entry->bytes, size);
}

enum miss { DAMAGED, WRONG_ARCH, REJECTED };

static void assert_repair(enum miss miss) {
  assert_created(&result, UDM_IMAGE_NVRTC);
  assert_int_equal(result.counted.misses_damaged, miss == DAMAGED);
  assert_int_equal(result.counted.misses_wrong_arch, miss == WRONG_ARCH);
  assert_int_equal(result.counted.misses_refused, miss == REJECTED);
  assert_int_equal(result.counted.misses_no_entry, 0);
  assert_int_equal(result.counted.compiles, 1);
  assert_int_equal(result.counted.publishes, 1);
  assert_int_equal(result.counted.repairs, 1);
}

/* Call it with a damaged entry. bad: the damage shows without a driver. */
static void assert_named_missed_and_repaired(enum miss miss, bool bad) {
  struct cache_contents contents;
  look_at_cache(&contents);
  assert_int_equal(contents.bad, bad);
  if (bad) assert_string_not_equal(contents.reason, "");
  create_once(&result);
  assert_repair(miss);
  look_at_cache(&contents);
  if (contents.bad != 0) fail_msg("%s", contents.reason);
  assert_int_equal(contents.ok, 1);
  create_once(&result);
  assert_created(&result, UDM_IMAGE_CACHE);
  assert_int_equal(result.counted.hits_writable, 1);
  assert_int_equal(result.counted.compiles + result.counted.repairs, 0);
}

static void test_flipped_bits(void **state) {
  static struct entry entry;
  unsigned random = 1;
  (void)state;
  make_entry(&entry);
  for (size_t at = 0; at < entry.size; at += 7) {
    random = random * 1103515245u + 12345u;
    const unsigned char bit = (unsigned char)(1u << (random >> 16 & 7u));
    entry.bytes[at] ^= bit;
    write_bytes(&entry, entry.size);
    assert_named_missed_and_repaired(DAMAGED, true);
    entry.bytes[at] ^= bit;
  }
}

static void test_truncated_and_appended_to(void **state) {
  static struct entry entry;
  (void)state;
  make_entry(&entry);
  const size_t sizes[] = {0,
                          1,
                          51,
                          52,
                          53,
                          entry.size / 2,
                          entry.size - 52,
                          entry.size - 1,
                          entry.size + 1,
                          entry.size + 4096};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    write_bytes(&entry, sizes[i]);
    assert_named_missed_and_repaired(DAMAGED, true);
  }
}

static void put_folder(const char *path) { assert_int_equal(mkdir(path, 0700), 0); }
static void put_full_folder(const char *path) { write_file(path_in(path, "theirs"), "x", 1); }
static void put_fifo(const char *path) { assert_int_equal(mkfifo(path, 0600), 0); }
static void put_dangling_link(const char *path) { assert_int_equal(symlink("nothing", path), 0); }
static void put_loop(const char *path) { assert_int_equal(symlink(path, path), 0); }

static void put_sparse_giant(const char *path) {
  const int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  assert_true(file >= 0);
  for (off_t size = INT64_MAX; ftruncate(file, size) != 0; size /= 2) assert_true(size > 1 << 30);
  close(file);
}

static void put_link_to_a_good_one(const char *path) {
  char target[UDM_PATH_SIZE + 8];
  snprintf(target, sizeof target, "%s.moved", path);
  unlink(target);
  prewarm(NULL);
  assert_int_equal(rename(path, target), 0);
  assert_int_equal(symlink(target, path), 0);
}

static void put_writable_by_others(const char *path) {
  prewarm(NULL);
  assert_int_equal(chmod(path, 0666), 0);
}

static void put_somebody_elses(const char *path) {
  prewarm(NULL);
  if (chown(path, 12345, 12345) != 0) skip(); /* only root can give a file away */
}

static void assert_repaired_after(void (*put)(const char *path)) {
  static struct entry entry;
  make_entry(&entry);
  unlink(entry.path);
  put(entry.path);
  assert_named_missed_and_repaired(DAMAGED, true);
}

static void test_something_else_in_its_place(void **state) {
  (void)state;
  assert_repaired_after(put_folder);
  assert_repaired_after(put_full_folder);
  assert_repaired_after(put_fifo);
  assert_repaired_after(put_dangling_link);
  assert_repaired_after(put_loop);
  assert_repaired_after(put_link_to_a_good_one);
  assert_repaired_after(put_sparse_giant);
  assert_repaired_after(put_writable_by_others);
}

static void test_a_file_of_somebody_else(void **state) {
  (void)state;
  assert_repaired_after(put_somebody_elses);
}

/* A folder with the name of an entry that nobody stores again is removed, too. */
static void test_something_else_under_another_producers_name(void **state) {
  static void (*const put[])(const char *) = {put_folder, put_full_folder, put_fifo,
                                              put_dangling_link, put_sparse_giant};
  static struct entry entry;
  (void)state;
  for (size_t i = 0; i < sizeof put / sizeof put[0]; ++i) {
    make_entry(&entry);
    age_files(".cubin", 1000); /* so that the other one is tried first */
    char *hash = strrchr(entry.path, '-') + 1;
    hash[0] = hash[0] == '0' ? '1' : '0';
    put[i](entry.path);
    create_once(&result);
    assert_created(&result, UDM_IMAGE_CACHE);
    assert_int_equal(result.counted.repairs, 1);
    create_once(&result);
    assert_created(&result, UDM_IMAGE_CACHE);
    assert_int_equal(result.counted.repairs, 0);
    assert_null(strstr(result.log, "not used"));
  }
}

static void test_an_entry_of_another_key_under_this_name(void **state) {
  static struct entry entry;
  static unsigned char other[BUFFER_SIZE];
  udm_prewarm_result prewarmed = {.struct_size = sizeof prewarmed};
  (void)state;
  make_entry(&entry);
  assert_int_equal(udm_prewarm(NULL, OTHER_ARCH, 0, &prewarmed), UDM_OK);
  const size_t size = read_file(prewarmed.path, other);
  unlink(prewarmed.path);
  write_file(entry.path, other, size);
  assert_named_missed_and_repaired(DAMAGED, true);
}

/* Offsets from the end of the file, as runtime/cache/cache_entry.c defines them. */
enum { FORMAT_AT = 28, CHECKSUM_AT = 24, CHECKSUM_SIZE = 16 };

static void test_an_entry_of_an_older_format(void **state) {
  static struct entry entry;
  XXH128_canonical_t checksum;
  (void)state;
  make_entry(&entry);
  entry.bytes[entry.size - FORMAT_AT] ^= 1;
  XXH128_canonicalFromHash(&checksum, XXH3_128bits(entry.bytes, entry.size - CHECKSUM_AT));
  memcpy(entry.bytes + entry.size - CHECKSUM_AT, &checksum, CHECKSUM_SIZE);
  write_bytes(&entry, entry.size);
  struct cache_contents contents;
  look_at_cache(&contents);
  assert_string_equal(contents.reason, "another format version");
  assert_named_missed_and_repaired(DAMAGED, true);
}

/* Stores another image under the entry's key, with a good checksum. */
static void replace_image(const struct entry *entry, const void *image, size_t size) {
  struct cache_entry_view view;
  char text[UDM_CACHE_TEXT_SIZE];
  char producer[UDM_CACHE_TEXT_SIZE];
  unsigned char *bytes = NULL;
  size_t entry_size = 0;
  assert_int_equal(udm_cache_entry_decode(entry->bytes, entry->size, &view, udm_thread_error()),
                   UDM_OK);
  snprintf(text, sizeof text, "%.*s", (int)view.text_size, view.text);
  snprintf(producer, sizeof producer, "%.*s", (int)view.producer_size, view.producer);
  const struct cache_key key = {"sm_90", text, producer};
  assert_int_equal(
      udm_cache_entry_encode(&key, image, size, &bytes, &entry_size, udm_thread_error()), UDM_OK);
  write_file(entry->path, bytes, entry_size);
  udm_free(bytes);
}

static size_t image_size_of(const struct entry *entry) {
  struct cache_entry_view view;
  assert_int_equal(udm_cache_entry_decode(entry->bytes, entry->size, &view, udm_thread_error()),
                   UDM_OK);
  return view.image_size;
}

static void test_an_image_for_another_architecture(void **state) {
  static struct entry entry;
  static struct entry other;
  udm_prewarm_result prewarmed = {.struct_size = sizeof prewarmed};
  (void)state;
  make_entry(&entry);
  assert_int_equal(udm_prewarm(NULL, OTHER_ARCH, 0, &prewarmed), UDM_OK);
  other.size = read_file(prewarmed.path, other.bytes);
  unlink(prewarmed.path);
  replace_image(&entry, other.bytes, image_size_of(&other));
  assert_named_missed_and_repaired(WRONG_ARCH, true);
  replace_image(&entry, other.bytes, image_size_of(&other));
  assert_int_equal(udm_prewarm(NULL, FIXTURE_ARCH, 0, &prewarmed), UDM_OK);
  assert_int_equal(prewarmed.compiled, 1); /* prewarm rejects it, too */
}

static void test_an_image_that_is_not_a_cubin(void **state) {
  static struct entry entry;
  static const char text[] = "this is no ELF file, and far too short for the header of one";
  (void)state;
  make_entry(&entry);
  replace_image(&entry, text, sizeof text);
  assert_named_missed_and_repaired(REJECTED, true);
}

/* The driver gets no size, so it would read beyond the end of the image. */
static void test_an_image_without_its_end(void **state) {
  static struct entry entry;
  (void)state;
  make_entry(&entry);
  for (size_t size = 64; size < image_size_of(&entry); size += 64) {
    replace_image(&entry, entry.bytes, size);
    assert_named_missed_and_repaired(REJECTED, true);
  }
}

/* The program headers would be outside the image. */
static void test_an_image_whose_header_points_outside(void **state) {
  static struct entry entry;
  static unsigned char image[BUFFER_SIZE];
  Elf64_Ehdr header;
  (void)state;
  make_entry(&entry);
  const size_t size = image_size_of(&entry);
  memcpy(image, entry.bytes, size);
  memcpy(&header, image, sizeof header);
  header.e_phnum = 1;
  header.e_phentsize = sizeof(Elf64_Phdr);
  const uint64_t offsets[] = {size - 1, size + 1, UINT64_MAX - 8};
  for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; ++i) {
    header.e_phoff = offsets[i];
    memcpy(image, &header, sizeof header);
    replace_image(&entry, image, size);
    assert_named_missed_and_repaired(REJECTED, true);
  }
}

/* It passes every check of udm, but the driver finds no kernel in it. */
static void test_an_image_that_the_driver_rejects(void **state) {
  static struct entry entry;
  static unsigned char image[BUFFER_SIZE];
  (void)state;
  make_entry(&entry);
  const size_t size = image_size_of(&entry);
  memcpy(image, entry.bytes, size);
  unsigned char *name = memmem(image, size, "udm_decode_metadata_general", 27);
  assert_non_null(name);
  name[0] = 'x';
  replace_image(&entry, image, size);
  assert_named_missed_and_repaired(REJECTED, false);
}

static void test_no_repair_without_compiling_or_in_a_read_only_layer(void **state) {
  static struct entry entry;
  (void)state;
  make_entry(&entry);
  entry.bytes[9] ^= 1;
  write_bytes(&entry, entry.size);
  setenv("UDM_CACHE_PATH", cache_folder(), 1);
  setenv("UDM_CACHE_DIR", path_in(*state, "another"), 1);
  create_once(&result);
  assert_created(&result, UDM_IMAGE_NVRTC);
  assert_int_equal(result.counted.misses_damaged, 1);
  assert_int_equal(result.counted.repairs, 0);
  assert_int_equal(access(entry.path, F_OK), 0);
  clear_cache();
  setenv("UDM_NO_COMPILE", "strict", 1);
  create_once(&result);
  assert_int_equal(result.status, UDM_ERROR_NO_IMAGE);
  assert_non_null(strstr(udm_last_error(), entry.path));
  assert_non_null(strstr(udm_last_error(), "wrong checksum"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CACHE_TEST(test_flipped_bits),
      CACHE_TEST(test_truncated_and_appended_to),
      CACHE_TEST(test_something_else_in_its_place),
      CACHE_TEST(test_a_file_of_somebody_else),
      CACHE_TEST(test_something_else_under_another_producers_name),
      CACHE_TEST(test_an_entry_of_another_key_under_this_name),
      CACHE_TEST(test_an_entry_of_an_older_format),
      CACHE_TEST(test_an_image_for_another_architecture),
      CACHE_TEST(test_an_image_that_is_not_a_cubin),
      CACHE_TEST(test_an_image_without_its_end),
      CACHE_TEST(test_an_image_whose_header_points_outside),
      CACHE_TEST(test_an_image_that_the_driver_rejects),
      CACHE_TEST(test_no_repair_without_compiling_or_in_a_read_only_layer),
  };
  use_fake_device();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
