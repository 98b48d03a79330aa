/*
 * test_cache_entry_validate.c: whole, stale and wrong entries. tests/cache/test_cache_entry.c
 * tests damage of the format itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/cache_entry_validate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_headers.h"
#include "core/allocator.h"
#include "image/kernel_compile.h"
#include "smallest_cubin.h"

/* Makes an entry with a correct checksum from any texts and image. */
static unsigned char *encode(const char *text, const char *producer, const void *image,
                             size_t image_size, size_t *size) {
  const struct cache_key key = {"sm_90", text, producer};
  unsigned char *bytes = NULL;
  assert_int_equal(
      udm_cache_entry_encode(&key, image, image_size, &bytes, size, udm_thread_error()), UDM_OK);
  return bytes;
}

static void assert_check(const char *text, const char *producer, const void *image,
                         size_t image_size, const char *expected) {
  struct valid_entry entry;
  size_t size = 0;
  unsigned char *bytes = encode(text, producer, image, image_size, &size);
  const udm_status status = udm_cache_entry_validate(bytes, size, &entry, udm_thread_error());
  assert_int_equal(status, expected ? UDM_ERROR_CACHE : UDM_OK);
  if (expected) assert_non_null(strstr(udm_last_error(), expected));
  udm_free(bytes);
}

static void test_a_current_entry(void **state) {
  (void)state;
  struct kernel_key key;
  struct valid_entry entry;
  size_t size = 0;
  const Elf64_Ehdr image = smallest_cubin(90);
  char name[UDM_CACHE_NAME_SIZE];
  udm_kernel_key(90, KERNEL_BY_NVRTC, NULL, &key);
  unsigned char *bytes = encode(key.text, "NVRTC 13.0\n", &image, sizeof image, &size);
  assert_int_equal(udm_cache_entry_validate(bytes, size, &entry, udm_thread_error()), UDM_OK);
  assert_int_equal(entry.arch, 90);
  assert_true(entry.current);
  assert_string_equal(entry.producer, "NVRTC 13.0\n");
  key.key.producer = "NVRTC 13.0\n";
  udm_cache_entry_name(&key.key, name);
  assert_string_equal(entry.name, name);
  udm_free(bytes);
}

static void test_a_stale_entry_is_whole(void **state) {
  (void)state;
  struct valid_entry entry;
  size_t size = 0;
  const Elf64_Ehdr image = smallest_cubin(90);
  unsigned char *bytes = encode("udm cubin, format 1\nsource of another version\ntarget sm_90\n",
                                "NVRTC 12.0\n", &image, sizeof image, &size);
  assert_int_equal(udm_cache_entry_validate(bytes, size, &entry, udm_thread_error()), UDM_OK);
  assert_false(entry.current);
  assert_non_null(strstr(entry.name, "sm_90-"));
  udm_free(bytes);
}

static void test_what_is_wrong_is_reported(void **state) {
  (void)state;
  struct kernel_key key;
  char long_text[UDM_CACHE_TEXT_SIZE + 1];
  const Elf64_Ehdr image = smallest_cubin(90);
  const Elf64_Ehdr other = smallest_cubin(80);
  udm_kernel_key(90, KERNEL_BY_NVRTC, NULL, &key);
  memset(long_text, 'a', sizeof long_text - 1);
  long_text[sizeof long_text - 1] = '\0';
  assert_check(key.text, "NVRTC\n", &image, sizeof image, NULL);
  assert_check(key.text, "NVRTC\n", &other, sizeof other, "another architecture");
  assert_check(key.text, "NVRTC\n", "no ELF", 6, "not a cubin");
  assert_check("no target", "NVRTC\n", &image, sizeof image, "another architecture");
  assert_check("\ntarget sm_90 and more\n", "NVRTC\n", &image, sizeof image, "another");
  assert_check(key.text, "", &image, sizeof image, "no such key");
  assert_check(long_text, "NVRTC\n", &image, sizeof image, "no such key");
  assert_check(key.text, long_text, &image, sizeof image, "no such key");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_current_entry),
      cmocka_unit_test(test_a_stale_entry_is_whole),
      cmocka_unit_test(test_what_is_wrong_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
