/*
 * test_status.c: pinned values, names, texts, and the thread's last error.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "cmocka_headers.h"
#include "core/status.h"

/* The values are part of the ABI: written out here, so that a change shows. */
static void test_values_are_pinned(void **state) {
  (void)state;
  assert_int_equal(UDM_OK, 0);
  assert_int_equal(UDM_ERROR_INVALID_ARGUMENT, 1);
  assert_int_equal(UDM_ERROR_OUT_OF_MEMORY, 2);
  assert_int_equal(UDM_ERROR_NO_DRIVER, 3);
  assert_int_equal(UDM_ERROR_NO_DEVICE, 4);
  assert_int_equal(UDM_ERROR_NO_CURRENT_CONTEXT, 5);
  assert_int_equal(UDM_ERROR_DRIVER, 6);
  assert_int_equal(UDM_ERROR_NO_NVRTC, 7);
  assert_int_equal(UDM_ERROR_COMPILE, 8);
  assert_int_equal(UDM_ERROR_UNSUPPORTED_ARCH, 9);
  assert_int_equal(UDM_ERROR_NO_IMAGE, 10);
  assert_int_equal(UDM_ERROR_CACHE, 11);
  assert_int_equal(UDM_ERROR_NOT_FOUND, 12);
}

static void test_names_and_texts(void **state) {
  (void)state;
  assert_string_equal(udm_status_name(UDM_OK), "UDM_OK");
  assert_string_equal(udm_status_name(UDM_ERROR_NO_NVRTC), "UDM_ERROR_NO_NVRTC");
  assert_string_equal(udm_status_text(UDM_ERROR_OUT_OF_MEMORY), "out of host memory");
  assert_string_equal(udm_status_name((udm_status)12345), "UDM_ERROR_UNKNOWN");
  assert_string_equal(udm_status_text((udm_status)-1), "unknown status");
  assert_string_equal(udm_image_source_name((udm_image_source)99), "none");
  assert_string_equal(udm_cache_entry_state_name((udm_cache_entry_state)99), "bad");
}

static void test_version_agrees_with_itself(void **state) {
  (void)state;
  int major = -1;
  int minor = -1;
  int patch = -1;
  char rest = 0;
  assert_int_equal(sscanf(udm_version_string(), "%d.%d.%d%c", &major, &minor, &patch, &rest), 3);
  assert_int_equal(udm_version(), 10000 * major + 100 * minor + patch);
  assert_int_equal(major, UDM_VERSION_MAJOR);
}

static void test_errno_origin(void **state) {
  (void)state;
  assert_int_equal(udm_fail_errno(udm_thread_error(), UDM_ERROR_CACHE, ENOSPC, "write of %s", "x"),
                   UDM_ERROR_CACHE);
  assert_string_equal(udm_last_error(), "write of x: No space left on device");
}

static void test_no_error_to_write_to_drops_the_message(void **state) {
  (void)state;
  udm_fail(udm_thread_error(), UDM_ERROR_CACHE, "before");
  assert_int_equal(udm_fail(NULL, UDM_ERROR_NO_IMAGE, "dropped"), UDM_ERROR_NO_IMAGE);
  assert_int_equal(udm_fail_errno(NULL, UDM_ERROR_CACHE, EIO, "dropped"), UDM_ERROR_CACHE);
  assert_string_equal(udm_last_error(), "before");
}

static void test_a_short_error_is_cut_and_its_neighbours_stay(void **state) {
  (void)state;
  char text[8] = "1234567";
  struct error error = {text, 4};
  udm_fail(&error, UDM_ERROR_CACHE, "too long for it");
  assert_memory_equal(text, "too\000567", 8);
}

static void test_long_messages_are_cut(void **state) {
  (void)state;
  static char text[3 * UDM_MESSAGE_SIZE];
  memset(text, 'x', sizeof text - 1);
  udm_fail_errno(udm_thread_error(), UDM_ERROR_CACHE, EIO, "%s", text);
  assert_int_equal(strlen(udm_last_error()), UDM_MESSAGE_SIZE - 1);
}

static void test_a_message_can_be_extended(void **state) {
  (void)state;
  char text[8] = "1234567";
  struct error error = {text, 6};
  udm_fail(&error, UDM_ERROR_CACHE, "ab");
  udm_extend_error(&error, "%s", "cd");
  assert_string_equal(udm_error_text(&error), "abcd");
  udm_extend_error(&error, "too long for it");
  assert_memory_equal(text, "abcdt\0007", 8);
  udm_fail(udm_thread_error(), UDM_ERROR_CACHE, "of the thread");
  udm_extend_error(udm_thread_error(), ": %d", 7);
  assert_string_equal(udm_last_error(), "of the thread: 7");
  assert_ptr_equal(udm_error_text(udm_thread_error()), udm_last_error());
  udm_extend_error(NULL, "dropped");
  assert_string_equal(udm_error_text(NULL), "");
}

static void *fail_elsewhere(void *unused) {
  udm_fail(udm_thread_error(), UDM_ERROR_CACHE, "of another thread");
  return unused;
}

static void test_messages_are_the_threads_own(void **state) {
  (void)state;
  pthread_t thread;
  udm_fail(udm_thread_error(), UDM_ERROR_CACHE, "of this thread");
  assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_string_equal(udm_last_error(), "of this thread");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values_are_pinned),
      cmocka_unit_test(test_names_and_texts),
      cmocka_unit_test(test_version_agrees_with_itself),
      cmocka_unit_test(test_errno_origin),
      cmocka_unit_test(test_no_error_to_write_to_drops_the_message),
      cmocka_unit_test(test_a_short_error_is_cut_and_its_neighbours_stay),
      cmocka_unit_test(test_long_messages_are_cut),
      cmocka_unit_test(test_a_message_can_be_extended),
      cmocka_unit_test(test_messages_are_the_threads_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
