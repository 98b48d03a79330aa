/*
 * test_reference_schedule.c: the oracle's schedules: cases worked out by hand, and what every
 * schedule promises its consumer: each unit of each row is the work of exactly one SM, and no SM
 * has more than its share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "numbers/random.h"
#include "reference_fixture.h"

enum { MOST_SMS = 200, UNIT = 256 };

static int32_t entries[MOST_SMS + 2][2];

static udm_decode_args schedule_args(const int32_t *seq_lens, int32_t batch_size, int32_t num_sms,
                                     udm_schedule_variant variant, int32_t next_n) {
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  for (int i = 0; i < MOST_SMS + 2; ++i) entries[i][0] = entries[i][1] = UNTOUCHED;
  args.seq_lens = address(seq_lens);
  args.batch_size = batch_size;
  args.num_backends = 1;
  args.num_sms = num_sms;
  args.schedule_variant = variant;
  args.schedule_next_n = next_n;
  args.extra[0].paged_mqa_schedule = address(entries);
  return args;
}

/* The schedule of a decode step. */
static void decode(const int32_t *seq_lens, int32_t batch_size, int32_t num_sms,
                   udm_schedule_variant variant, int32_t next_n) {
  const udm_decode_args args = schedule_args(seq_lens, batch_size, num_sms, variant, next_n);
  run(&args);
}

/* ---- by hand ---- */

/* 2, 0 and 3 units of 256 tokens. */
static const int32_t three[] = {300, 0, 700};

#define ASSERT_ENTRIES(...) ASSERT_INTS(&entries[0][0], __VA_ARGS__)

static void test_sm90_last_sms_get_one_more(void **state) {
  (void)state;
  for (int32_t next_n = 0; next_n <= 2; ++next_n) { /* up to 2 tokens are one piece */
    decode(three, 3, 2, UDM_SCHEDULE_SM90, next_n);
    ASSERT_ENTRIES(0, 0, 2, 0, 3, 0, U);
    decode(three, 3, 4, UDM_SCHEDULE_SM90, next_n);
    ASSERT_ENTRIES(0, 0, 0, 1, 2, 0, 2, 1, 3, 0, U);
    decode(three, 3, 1, UDM_SCHEDULE_SM90, next_n);
    ASSERT_ENTRIES(0, 0, 3, 0, U);
  }
}

static void test_sm100_first_sms_get_one_more(void **state) {
  (void)state;
  for (int32_t next_n = 0; next_n <= 1; ++next_n) {
    decode(three, 3, 2, UDM_SCHEDULE_SM100, next_n);
    ASSERT_ENTRIES(0, 0, 2, 1, 3, 0, U);
    decode(three, 3, 4, UDM_SCHEDULE_SM100, next_n);
    ASSERT_ENTRIES(0, 0, 2, 0, 2, 1, 2, 2, 3, 0, U);
  }
}

/* SMs without work: before all others, or behind them. */
static void test_more_sms_than_work(void **state) {
  (void)state;
  decode(three, 3, 8, UDM_SCHEDULE_SM90, 0);
  ASSERT_ENTRIES(0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 2, 1, 2, 2, 3, 0, U);
  decode(three, 3, 8, UDM_SCHEDULE_SM100, 0);
  ASSERT_ENTRIES(0, 0, 0, 1, 2, 0, 2, 1, 2, 2, 3, 0, 3, 0, 3, 0, 3, 0, U);
}

static void test_sm90_of_several_tokens(void **state) {
  (void)state;
  for (int32_t next_n = 3; next_n <= 4; ++next_n) { /* 2 pieces per unit, 10 in all */
    decode(three, 3, 4, UDM_SCHEDULE_SM90, next_n);
    ASSERT_ENTRIES(0, 0, 1, 0, 4, 0, 5, 0, 6, 0, U);
  }
  decode(three, 3, 4, UDM_SCHEDULE_SM90, 5); /* 3 per unit, 15 in all: 3, 4, 4, 4 */
  ASSERT_ENTRIES(0, 0, 1, 1, 6, 1, 7, 2, 9, 0, U);
}

static void test_sm100_of_several_tokens(void **state) {
  (void)state;
  decode(three, 3, 4, UDM_SCHEDULE_SM100, 2); /* 10 pieces: 3, 3, 2, 2 */
  ASSERT_ENTRIES(0, 0, 0, 1, 4, 1, 4, 2, 6, 0, U);
  decode(three, 3, 4, UDM_SCHEDULE_SM100, 3); /* 15 pieces: 4, 4, 4, 3 */
  ASSERT_ENTRIES(0, 0, 0, 1, 6, 0, 6, 2, 9, 0, U);
  decode(three, 3, 4, UDM_SCHEDULE_SM100, 4); /* 20 pieces: 5 each */
  ASSERT_ENTRIES(0, 0, 0, 1, 8, 0, 8, 1, 12, 0, U);
  decode(three, 3, 4, UDM_SCHEDULE_SM100, 5); /* 25 pieces: 7, 6, 6, 6 */
  ASSERT_ENTRIES(0, 0, 0, 1, 10, 0, 10, 1, 15, 0, U);
}

static void test_lengths_at_a_units_edge(void **state) {
  (void)state;
  const int32_t seq_lens[] = {255, 256, 257, 1};
  decode(seq_lens, 4, 5, UDM_SCHEDULE_SM90, 0);
  ASSERT_ENTRIES(0, 0, 1, 0, 2, 0, 2, 1, 3, 0, 4, 0, U);
}

static void test_no_work_at_all(void **state) {
  (void)state;
  const int32_t seq_lens[] = {0, -5, 0};
  for (int32_t next_n = 0; next_n <= 5; ++next_n) {
    for (int variant = UDM_SCHEDULE_SM90; variant <= UDM_SCHEDULE_SM100; ++variant) {
      decode(seq_lens, 3, 3, (udm_schedule_variant)variant, next_n);
      ASSERT_ENTRIES(0, 0, 0, 0, 0, 0, 0, 0, U);
      decode(seq_lens, 0, 2, (udm_schedule_variant)variant, next_n);
      ASSERT_ENTRIES(0, 0, 0, 0, 0, 0, U);
    }
  }
}

/* A row per token has what the token sees; a row per request the whole KV length. */
static void test_rows_of_a_verify_step(void **state) {
  (void)state;
  const int32_t seq_lens[] = {255, 511};
  udm_decode_args args = schedule_args(seq_lens, 2, 4, UDM_SCHEDULE_SM90, 0);
  args.mode = UDM_MODE_TARGET_VERIFY;
  args.tokens_per_request = 2;
  run(&args); /* 1, 2, 2 and 3 units */
  ASSERT_ENTRIES(0, 0, 1, 1, 2, 1, 3, 1, 4, 0, U);
  args = schedule_args(seq_lens, 2, 2, UDM_SCHEDULE_SM100, 2);
  args.mode = UDM_MODE_TARGET_VERIFY;
  args.tokens_per_request = 2;
  run(&args); /* 2 and 3 units of 2 pieces */
  ASSERT_ENTRIES(0, 0, 2, 0, 4, 0, U);
}

/* Tokens behind the last are rows without work. A request that is cut has the rows that fit. */
static void test_rows_of_a_ragged_step(void **state) {
  (void)state;
  const int32_t seq_lens[] = {300, 900, 256}, extend_lens[] = {2, 0, 1};
  udm_decode_args args = schedule_args(seq_lens, 3, 2, UDM_SCHEDULE_SM90, 0);
  args.mode = UDM_MODE_DRAFT_EXTEND;
  args.extend_lens = address(extend_lens);
  args.num_tokens = 5;
  run(&args); /* 2, 2, 1, 0 and 0 units */
  ASSERT_ENTRIES(0, 0, 1, 0, 5, 0, U);
  args.num_tokens = 1;
  run(&args);
  ASSERT_ENTRIES(0, 0, 0, 1, 1, 0, U);
  args.num_tokens = 0;
  run(&args);
  ASSERT_ENTRIES(0, 0, 0, 0, 0, 0, U);
}

static void test_backends_have_their_own_lengths(void **state) {
  (void)state;
  static int32_t other[3][2];
  const int32_t seq_lens[] = {256, 0};
  udm_decode_args args = schedule_args(seq_lens, 2, 2, UDM_SCHEDULE_SM90, 0);
  args.num_backends = 2;
  args.seqlen_offset[1] = 1;
  args.extra[1].paged_mqa_schedule = address(other);
  run(&args);
  ASSERT_ENTRIES(0, 0, 0, 0, 2, 0, U);
  ASSERT_INTS(&other[0][0], 0, 0, 0, 1, 2, 0); /* 2 and 1 units */
  args.extra[0].paged_mqa_schedule = 0;
  args.flags = UDM_SKIP_PADDING;
  run(&args);
  ASSERT_INTS(&other[0][0], 0, 0, 0, 1, 2, 0); /* 2 and 0 units */
}

static void test_the_longest_lengths(void **state) {
  (void)state;
  const int32_t seq_lens[] = {INT32_MAX, INT32_MAX}; /* 2^23 units each */
  decode(seq_lens, 2, 2, UDM_SCHEDULE_SM90, 0);
  ASSERT_ENTRIES(0, 0, 1, 0, 2, 0, U);
  decode(seq_lens, 2, 3, UDM_SCHEDULE_SM90, 0); /* 5592405, 5592405 and 5592406 */
  ASSERT_ENTRIES(0, 0, 0, 5592405, 1, 2796202, 2, 0, U);
}

/* ---- what a consumer relies on ---- */

enum { MOST_ROWS = 70, MOST_UNITS = 12 };

/* The atoms of a row: SM90 deals whole atoms, one after the other; SM100 all of a row together. */
struct walk {
  int32_t rows, row_step, atoms_per_row;
  int32_t units[MOST_ROWS];
  int32_t seen[MOST_ROWS * 3][MOST_UNITS]; /* how many SMs work on a unit of an atom */
};

/* Walks from entry to entry as the consumers of DeepGEMM do. Returns the units of this SM. */
static int32_t walk_sm(struct walk *w, const int32_t from[2], const int32_t to[2]) {
  int32_t count = 0, row = from[0], unit = from[1];
  while (row < to[0] || (row == to[0] && unit < to[1])) {
    assert_in_range(row, 0, w->rows * w->row_step - 1);
    const int32_t request = row / w->row_step;
    if (unit < w->units[request]) {
      assert_in_range(unit, 0, MOST_UNITS - 1);
      ++w->seen[row / (w->row_step / w->atoms_per_row)][unit];
      ++count;
      ++unit;
    }
    if (unit >= w->units[request]) {
      row += w->row_step / w->atoms_per_row;
      unit = 0;
    }
  }
  return count;
}

static void check_promises(struct walk *w, int32_t num_sms, bool sm100, int32_t pieces) {
  int32_t total = 0;
  for (int32_t r = 0; r < w->rows; ++r) total += w->units[r] * w->atoms_per_row;
  memset(w->seen, 0, sizeof w->seen);
  const int32_t share = total / num_sms;
  /* the pieces of SM100 are parts of a unit, so that an SM begins up to a unit early */
  const int32_t most = share + (total % num_sms > 0) + (sm100 && pieces > 1);
  for (int32_t sm = 0; sm < num_sms; ++sm) {
    const int32_t units = walk_sm(w, entries[sm], entries[sm + 1]);
    if (units > most) fail_msg("SM %d has %d units of %d", sm, units, total);
  }
  for (int32_t r = 0; r < w->rows; ++r) {
    for (int32_t a = 0; a < w->atoms_per_row; ++a) {
      for (int32_t u = 0; u < w->units[r]; ++u) {
        assert_int_equal(w->seen[r * w->atoms_per_row + a][u], 1);
      }
    }
  }
  assert_int_equal(entries[num_sms + 1][0], UNTOUCHED);
}

static int32_t draw_up_to(uint64_t *random, int32_t most) {
  return (int32_t)(random_next(random) % (uint64_t)(most + 1));
}

static void test_each_unit_is_the_work_of_one_sm(void **state) {
  (void)state;
  static struct walk w;
  uint64_t random = 1;
  for (int round = 0; round < 4000; ++round) {
    int32_t seq_lens[MOST_ROWS];
    const int32_t next_n = draw_up_to(&random, 5), num_sms = 1 + draw_up_to(&random, MOST_SMS - 1);
    const bool sm100 = round % 2 == 1, is_sparse = draw_up_to(&random, 3) == 0;
    const int32_t pieces = next_n == 0 ? 1 : sm100 ? next_n : (next_n + 1) / 2;
    w.rows = draw_up_to(&random, MOST_ROWS);
    w.row_step = pieces;
    w.atoms_per_row = sm100 ? 1 : pieces;
    for (int32_t r = 0; r < w.rows; ++r) {
      const bool is_empty = draw_up_to(&random, is_sparse ? 3 : 20) > (is_sparse ? 0 : 19);
      seq_lens[r] = is_empty ? 0 : draw_up_to(&random, MOST_UNITS * UNIT);
      w.units[r] = (seq_lens[r] + UNIT - 1) / UNIT;
    }
    decode(seq_lens, w.rows, num_sms, sm100 ? UDM_SCHEDULE_SM100 : UDM_SCHEDULE_SM90, next_n);
    check_promises(&w, num_sms, sm100, pieces);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sm90_last_sms_get_one_more),
      cmocka_unit_test(test_sm100_first_sms_get_one_more),
      cmocka_unit_test(test_more_sms_than_work),
      cmocka_unit_test(test_sm90_of_several_tokens),
      cmocka_unit_test(test_sm100_of_several_tokens),
      cmocka_unit_test(test_lengths_at_a_units_edge),
      cmocka_unit_test(test_no_work_at_all),
      cmocka_unit_test(test_rows_of_a_verify_step),
      cmocka_unit_test(test_rows_of_a_ragged_step),
      cmocka_unit_test(test_backends_have_their_own_lengths),
      cmocka_unit_test(test_the_longest_lengths),
      cmocka_unit_test(test_each_unit_is_the_work_of_one_sm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
