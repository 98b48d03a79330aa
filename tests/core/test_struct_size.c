/*
 * test_struct_size.c: the library fills and reads structures of older, equal and
 * newer callers within their struct_size, never one byte beyond.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "cmocka_headers.h"
#include "core/struct_size.h"

/* One structure in three versions. */
struct first {
  size_t struct_size;
  int64_t a;
};

struct second {
  size_t struct_size;
  int64_t a;
  int64_t b;
};

struct third {
  size_t struct_size;
  int64_t a;
  int64_t b;
  int64_t c;
};

enum { SMALLEST = sizeof(struct first), GUARD = 0x5a };

static const struct second ours = {sizeof ours, 1, 2};

static void test_an_older_caller_is_filled_as_far_as_it_goes(void **state) {
  (void)state;
  struct third room = {sizeof(struct first), -1, -2, -3};
  assert_int_equal(udm_check_struct("room", &room, SMALLEST, udm_thread_error()), UDM_OK);
  udm_fill_struct(&room, &ours, sizeof ours);
  assert_int_equal(room.struct_size, sizeof(struct first));
  assert_int_equal(room.a, 1);
  assert_int_equal(room.b, -2);
  assert_int_equal(room.c, -3);
}

static void test_a_newer_caller_gets_zeros_for_what_is_unknown(void **state) {
  (void)state;
  struct {
    struct third room;
    unsigned char guard[16];
  } caller = {{sizeof(struct third), -1, -2, -3}, {0}};
  memset(caller.guard, GUARD, sizeof caller.guard);
  udm_fill_struct(&caller.room, &ours, sizeof ours);
  assert_int_equal(caller.room.struct_size, sizeof(struct third));
  assert_int_equal(caller.room.a, 1);
  assert_int_equal(caller.room.b, 2);
  assert_int_equal(caller.room.c, 0);
  for (size_t i = 0; i < sizeof caller.guard; ++i) assert_int_equal(caller.guard[i], GUARD);
}

static void test_defaults_stay_where_an_older_caller_has_no_field(void **state) {
  (void)state;
  const struct third given = {sizeof(struct first), 10, 20, 30};
  struct second read = {sizeof read, 1, 2};
  assert_int_equal(
      udm_read_struct("given", &given, SMALLEST, &read, sizeof read, udm_thread_error()), UDM_OK);
  assert_int_equal(read.struct_size, sizeof read);
  assert_int_equal(read.a, 10);
  assert_int_equal(read.b, 2);
}

static void test_a_newer_callers_unknown_field_must_be_unused(void **state) {
  (void)state;
  struct third given = {sizeof given, 10, 20, 0};
  struct second read = {sizeof read, 1, 2};
  assert_int_equal(
      udm_read_struct("given", &given, SMALLEST, &read, sizeof read, udm_thread_error()), UDM_OK);
  assert_int_equal(read.struct_size, sizeof read);
  assert_int_equal(read.b, 20);
  given.c = 1;
  assert_int_equal(
      udm_read_struct("given", &given, SMALLEST, &read, sizeof read, udm_thread_error()),
      UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "given uses a field of a newer udm"));
}

static void test_a_size_that_no_version_has_is_rejected(void **state) {
  (void)state;
  static const size_t sizes[] = {
      0, 1, sizeof(size_t), SMALLEST - 1, SMALLEST + 4, UDM_LARGEST_STRUCT + 8, SIZE_MAX};
  struct third room = {0, 0, 0, 0};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    room.struct_size = sizes[i];
    assert_int_equal(udm_check_struct("room", &room, SMALLEST, udm_thread_error()),
                     UDM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(udm_last_error(), "room->struct_size"));
  }
  assert_int_equal(udm_check_struct("room", NULL, SMALLEST, udm_thread_error()),
                   UDM_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(udm_last_error(), "room is null"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_an_older_caller_is_filled_as_far_as_it_goes),
      cmocka_unit_test(test_a_newer_caller_gets_zeros_for_what_is_unknown),
      cmocka_unit_test(test_defaults_stay_where_an_older_caller_has_no_field),
      cmocka_unit_test(test_a_newer_callers_unknown_field_must_be_unused),
      cmocka_unit_test(test_a_size_that_no_version_has_is_rejected),
  };
  return cmocka_run_group_tests_name("struct_size", tests, NULL, NULL);
}
