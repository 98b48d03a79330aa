/*
 * test_want_schedule.c: the schedules that the checker wants: hand-worked ones, and what must hold
 * for any: walked as DeepGEMM's kernels walk it, a schedule gives every unit of work to one SM, and
 * no SM has more than its share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdbool.h>
#include <string.h>

#include "cmocka_headers.h"
#include "numbers/random.h"
#include "replay/check/want_schedule.h"

enum { MOST_ROWS = 40, MOST_SMS = 150, MOST_NEXT_N = 5, MOST_UNITS = 12, UNIT = 256 };

static void expect(const int32_t *lengths, int32_t rows, int32_t next_n,
                   udm_schedule_variant variant, int32_t num_sms, const int32_t *want) {
  int32_t got[2 * (MOST_SMS + 1)];
  want_schedule(lengths, rows, next_n, variant, num_sms, got);
  for (int32_t i = 0; i < 2 * (num_sms + 1); ++i) assert_int_equal(got[i], want[i]);
}

static void test_by_hand(void **state) {
  (void)state;
  /* 3, 0 and 2 units: of 5 pieces the last SM gets two, or the first does */
  const int32_t lengths[] = {513, 0, 512};
  expect(lengths, 3, 1, UDM_SCHEDULE_SM90, 4, (int32_t[]){0, 0, 0, 1, 0, 2, 2, 0, 3, 0});
  expect(lengths, 3, 1, UDM_SCHEDULE_SM100, 4, (int32_t[]){0, 0, 0, 2, 2, 0, 2, 1, 3, 0});
  /* next_n 3: SM90 has two pairs per row; SM100 has 15 pieces and begins at whole units */
  expect(lengths, 3, 3, UDM_SCHEDULE_SM90, 2, (int32_t[]){0, 0, 1, 2, 6, 0});
  expect(lengths, 3, 3, UDM_SCHEDULE_SM100, 2, (int32_t[]){0, 0, 0, 2, 9, 0});
  /* more SMs than pieces: SM90 leaves the first ones without work, SM100 the last ones */
  const int32_t one[] = {0, 1};
  expect(one, 2, 1, UDM_SCHEDULE_SM90, 3, (int32_t[]){1, 0, 1, 0, 1, 0, 2, 0});
  expect(one, 2, 1, UDM_SCHEDULE_SM100, 3, (int32_t[]){1, 0, 2, 0, 2, 0, 2, 0});
}

static void test_no_work(void **state) {
  (void)state;
  const int32_t lengths[] = {0, 0};
  const int32_t zeros[8] = {0};
  expect(lengths, 2, 1, UDM_SCHEDULE_SM90, 3, zeros);
  expect(lengths, 2, 4, UDM_SCHEDULE_SM100, 3, zeros);
  expect(lengths, 0, 1, UDM_SCHEDULE_SM90, 3, zeros);
}

/* The rows that the walk sees: one per pair of query tokens, or SM100's one per request. */
struct walk {
  int32_t units[MOST_ROWS * MOST_NEXT_N]; /* by first member of an entry */
  int32_t taken[MOST_ROWS * MOST_NEXT_N][MOST_UNITS];
  int32_t end; /* first member of the last entry */
};

/* Goes from one entry to the next, unit by unit. Returns how many units that took. */
static int32_t walk_one_sm(struct walk *walk, const int32_t *entry) {
  int32_t row = entry[0];
  int32_t unit = entry[1];
  int32_t count = 0;
  while (row != entry[2] || unit != entry[3]) {
    assert_in_range(row, 0, walk->end - 1);
    assert_in_range(unit, 0, walk->units[row] - 1);
    ++walk->taken[row][unit];
    ++count;
    if (++unit < walk->units[row]) continue;
    unit = 0;
    do ++row;
    while (row < walk->end && walk->units[row] == 0);
  }
  return count;
}

static void check_any(uint64_t *random) {
  static struct walk walk;
  int32_t lengths[MOST_ROWS];
  int32_t entries[2 * (MOST_SMS + 1)];
  const int32_t rows = 1 + random_below(random, MOST_ROWS);
  const int32_t next_n = 1 + random_below(random, MOST_NEXT_N);
  const int32_t num_sms = 1 + random_below(random, MOST_SMS);
  const bool sm100 = random_below(random, 2) == 1;
  const int32_t pieces = sm100 ? next_n : (next_n + 1) / 2;
  int64_t total = 0;
  memset(&walk, 0, sizeof walk);
  walk.end = rows * pieces;
  for (int32_t i = 0; i < rows; ++i) {
    lengths[i] = random_below(random, 3) ? random_below(random, MOST_UNITS * UNIT + 1) : 0;
    const int32_t units = (lengths[i] + UNIT - 1) / UNIT;
    total += (int64_t)pieces * units;
    for (int32_t p = 0; p < (sm100 ? 1 : pieces); ++p) walk.units[i * pieces + p] = units;
  }
  want_schedule(lengths, rows, next_n, sm100 ? UDM_SCHEDULE_SM100 : UDM_SCHEDULE_SM90, num_sms,
                entries);
  if (total == 0) return;
  const int64_t share = total / num_sms;
  for (int32_t sm = 0; sm < num_sms; ++sm) {
    const int32_t count = walk_one_sm(&walk, entries + (size_t)2 * (size_t)sm);
    if (sm100) { /* its SMs begin at whole units, so within a unit of their share */
      assert_in_range(count, share / pieces, share / pieces + 1);
    } else {
      assert_in_range(count, share, share + 1);
    }
  }
  for (int32_t row = 0; row < walk.end; ++row) {
    for (int32_t unit = 0; unit < walk.units[row]; ++unit) {
      assert_int_equal(walk.taken[row][unit], 1);
    }
  }
}

static void test_every_unit_has_one_sm(void **state) {
  (void)state;
  uint64_t random = 17;
  for (int i = 0; i < 20000; ++i) check_any(&random);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_hand),
      cmocka_unit_test(test_no_work),
      cmocka_unit_test(test_every_unit_has_one_sm),
  };
  return cmocka_run_group_tests_name("want_schedule", tests, NULL, NULL);
}
