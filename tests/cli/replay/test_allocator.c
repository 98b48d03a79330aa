/*
 * The paged KV allocator and what a row of req_to_token remembers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "cmocka_headers.h"
#include "replay/scheduler/page_allocator.h"
#include "replay/scheduler/row_history.h"

static void test_free_list_gives_every_id_once(void **state) {
  (void)state;
  struct free_list list = FREE_LIST_INIT;
  int32_t ids[6];
  assert_true(free_list_create(&list, 1, 5));
  assert_true(free_list_take(&list, ids, 5));
  for (int32_t i = 0; i < 5; ++i) assert_int_equal(ids[i], 1 + i);
  assert_false(free_list_take(&list, ids, 1));
  free_list_destroy(&list);
}

static void test_free_list_takes_all_or_nothing(void **state) {
  (void)state;
  struct free_list list = FREE_LIST_INIT;
  int32_t ids[6];
  assert_true(free_list_create(&list, 0, 5));
  assert_false(free_list_take(&list, ids, 6));
  assert_int_equal(list.count, 5);
  assert_true(free_list_take(&list, ids, 0));
  assert_int_equal(list.count, 5);
  free_list_destroy(&list);
}

static void test_free_list_is_scrambled_by_use(void **state) {
  (void)state;
  struct free_list list = FREE_LIST_INIT;
  int32_t ids[4];
  const int32_t back[] = {2, 0};
  const int32_t want[] = {3, 2, 0};
  assert_true(free_list_create(&list, 0, 4));
  assert_true(free_list_take(&list, ids, 3));
  assert_true(free_list_give(&list, back, 2));
  assert_true(free_list_take(&list, ids, 3));
  assert_memory_equal(ids, want, sizeof want);
  free_list_destroy(&list);
}

static void test_free_list_refuses_what_it_did_not_give(void **state) {
  (void)state;
  struct free_list list = FREE_LIST_INIT;
  int32_t id;
  const int32_t strangers[] = {-1, 0, 4, INT32_MAX, INT32_MIN};
  assert_true(free_list_create(&list, 1, 3));
  assert_true(free_list_take(&list, &id, 1));
  for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; ++i) {
    assert_false(free_list_give(&list, &strangers[i], 1));
  }
  assert_true(free_list_give(&list, &id, 1));
  assert_false(free_list_give(&list, &id, 1)); /* twice */
  assert_int_equal(list.count, 3);
  free_list_destroy(&list);
}

static void test_pages_grow_with_tokens(void **state) {
  (void)state;
  struct free_list pool = FREE_LIST_INIT;
  struct page_list pages = PAGE_LIST_INIT;
  assert_true(free_list_create(&pool, 1, 3));
  assert_int_equal(page_list_grow(&pages, &pool, 0, 4), PAGES_OK);
  assert_int_equal(pages.count, 0);
  assert_int_equal(page_list_grow(&pages, &pool, 4, 4), PAGES_OK);
  assert_int_equal(pages.count, 1);
  assert_int_equal(page_list_grow(&pages, &pool, 5, 4), PAGES_OK);
  assert_int_equal(pages.count, 2);
  assert_int_equal(page_list_grow(&pages, &pool, 13, 4), PAGES_NONE_FREE);
  assert_int_equal(pages.count, 2);
  page_list_free(&pages);
  free_list_destroy(&pool);
}

static struct page_list make_pages(const int32_t *pages, int32_t count) {
  struct page_list list = {malloc((size_t)count * sizeof(int32_t)), count, count};
  assert_non_null(list.pages);
  for (int32_t i = 0; i < count; ++i) list.pages[i] = pages[i];
  return list;
}

static void test_slots_of_tokens(void **state) {
  (void)state;
  struct page_list pages = make_pages((const int32_t[]){7, 2, 5}, 3);
  const int32_t want[] = {29, 30, 31, 8, 9, 10, 11, 20, 21};
  int32_t slots[9];
  page_list_slots(&pages, 4, 1, 10, slots);
  assert_memory_equal(slots, want, sizeof want);
  page_list_slots(&pages, 1, 0, 3, slots);
  assert_int_equal(slots[0], 7);
  assert_int_equal(slots[2], 5);
  page_list_free(&pages);
}

static void test_row_remembers_earlier_requests(void **state) {
  (void)state;
  struct row_history history = ROW_HISTORY_INIT;
  int32_t slots[8];
  int32_t found[4];
  struct page_list oldest = make_pages((const int32_t[]){1, 2, 3}, 3);
  struct page_list newer = make_pages((const int32_t[]){8, 9}, 2);
  assert_true(row_history_push(&history, &oldest, 6)); /* columns 0 to 5 */
  assert_true(row_history_push(&history, &newer, 3));  /* columns 0 to 2 */
  /* page size 2: 8 has slots 16 and 17, 9 has 18; behind it 2's 5, 3's 6 and 7, then nothing */
  const int32_t want[] = {16, 17, 18, 5, 6, 7, 0, 0};
  row_history_slots(&history, 2, 0, 8, slots);
  assert_memory_equal(slots, want, sizeof want);
  const int32_t want_pages[] = {8, 9, 3, 0};
  row_history_pages(&history, 2, 0, 4, found);
  assert_memory_equal(found, want_pages, sizeof want_pages);
  /* as long as the newer one: hides it, and not the oldest */
  struct page_list newest = make_pages((const int32_t[]){4, 5}, 2);
  assert_true(row_history_push(&history, &newest, 3));
  assert_int_equal(history.count, 2);
  row_history_slots(&history, 2, 2, 4, slots);
  assert_int_equal(slots[0], 10);
  assert_int_equal(slots[1], 5);
  row_history_free(&history);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_free_list_gives_every_id_once),
      cmocka_unit_test(test_free_list_takes_all_or_nothing),
      cmocka_unit_test(test_free_list_is_scrambled_by_use),
      cmocka_unit_test(test_free_list_refuses_what_it_did_not_give),
      cmocka_unit_test(test_pages_grow_with_tokens),
      cmocka_unit_test(test_slots_of_tokens),
      cmocka_unit_test(test_row_remembers_earlier_requests),
  };
  return cmocka_run_group_tests_name("allocator", tests, NULL, NULL);
}
