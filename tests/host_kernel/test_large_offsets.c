/*
 * test_large_offsets.c: tensors so large that 32-bit offsets wrap, in memory that is
 * reserved and mostly never touched. Skipped if the system does not reserve that much.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the headers above */
#include <cmocka.h>
#include <stdio.h>
#include <sys/mman.h>

#include "decode_launch.h"

enum { ROWS = 9, COLUMNS = 300, PAGE_SIZE = 4, CHECKED = COLUMNS + 64 };

/* Elements from row to row: row 8 begins beyond 2^32 elements, row 1 beyond 2^31 bytes. */
static const int64_t stride = ((int64_t)1 << 29) + 12;

static int32_t *reserve(int64_t elements) {
  void *memory = mmap(NULL, (size_t)elements * sizeof(int32_t), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

static void release(int32_t *memory, int64_t elements) {
  if (memory) munmap(memory, (size_t)elements * sizeof(int32_t));
}

static CUdeviceptr address(const void *pointer) { return (CUdeviceptr)(uintptr_t)pointer; }

static int32_t slot_of(int64_t row, int64_t column) { return (int32_t)(1000 * row + column + 1); }

/* Request i is row ROWS - 1 - i of req_to_token, and `tokens` rows of the tables. */
struct large_case {
  int32_t tokens;
  int32_t *req_to_token;
  int32_t *page_table_1;
  int32_t *real_page_table;
  int32_t seq_lens[ROWS];
  int64_t req_pool_indices[ROWS];
  int32_t vectors[5][ROWS + 1];
  udm_decode_args args;
};

static void fill(struct large_case *c) {
  udm_decode_args *args = &c->args;
  for (int64_t i = 0; i < ROWS; ++i) {
    c->seq_lens[i] = COLUMNS - (int32_t)i;
    c->req_pool_indices[i] = ROWS - 1 - i;
    for (int64_t j = 0; j < COLUMNS; ++j) c->req_to_token[i * stride + j] = slot_of(i, j);
  }
  args->seq_lens = address(c->seq_lens);
  args->req_pool_indices = address(c->req_pool_indices);
  args->req_pool_indices_type = UDM_INT64;
  args->req_to_token = address(c->req_to_token);
  args->req_to_token_stride = stride;
  args->page_table_stride = stride;
  args->real_page_table_stride = stride;
  args->batch_size = ROWS / c->tokens;
  args->max_len = COLUMNS;
  args->num_backends = 1;
  args->real_page_size = PAGE_SIZE;
  if (c->tokens > 1) {
    args->mode = UDM_MODE_DRAFT_EXTEND;
    args->tokens_per_request = c->tokens;
  }
  args->backends[0] = (udm_backend_outputs){address(c->vectors[0]),   address(c->vectors[1]),
                                            address(c->page_table_1), address(c->vectors[2]),
                                            address(c->vectors[3]),   address(c->real_page_table),
                                            address(c->vectors[4])};
}

static void check_rows(const struct large_case *c) {
  for (int64_t i = 0; i < ROWS; ++i) {
    const int64_t request = i / c->tokens, from = ROWS - 1 - request;
    const int32_t extent = c->seq_lens[request];
    for (int64_t j = 0; j < CHECKED; ++j) {
      const int32_t slot = j < extent ? slot_of(from, j) : 0;
      assert_int_equal(c->page_table_1[i * stride + j], slot);
      const bool paged = j * PAGE_SIZE < extent;
      const int32_t page = paged ? slot_of(from, j * PAGE_SIZE) / PAGE_SIZE : 0;
      assert_int_equal(c->real_page_table[i * stride + j], page);
    }
  }
}

static void run(bool table, int32_t tokens) {
  char text[HOST_KERNEL_TEXT_SIZE];
  const int64_t elements = ROWS * stride;
  const udm_decode_args init = UDM_DECODE_ARGS_INIT;
  struct large_case c = {.tokens = tokens, .args = init};
  c.req_to_token = reserve(elements);
  c.page_table_1 = reserve(elements);
  c.real_page_table = reserve(elements);
  const bool reserved = c.req_to_token && c.page_table_1 && c.real_page_table;
  if (reserved) {
    fill(&c);
    int64_t pointers[UDM_OUTPUTS_PER_BACKEND];
    memcpy(pointers, &c.args.backends[0], sizeof pointers);
    /* enough for one tile per warp: whole tiles use vectors, the last tile of a row does not */
    const struct host_kernel_dim3 grid = {udm_length_blocks(&c.args) + ROWS, 1, 1};
    const bool launched = table ? decode_launch_table(&c.args, address(pointers), 1, grid, 1, text)
                                : decode_launch_direct(&c.args, grid, 1, text);
    if (!launched) fail_msg("%s", text);
    check_rows(&c);
  }
  release(c.req_to_token, elements);
  release(c.page_table_1, elements);
  release(c.real_page_table, elements);
  if (!reserved) {
    printf("skipped: 3 x %lld bytes of address space cannot be reserved\n",
           (long long)elements * 4);
    skip();
  }
}

static void test_direct_offsets_are_64_bit(void **state) {
  (void)state;
  run(false, 1);
}

static void test_table_offsets_are_64_bit(void **state) {
  (void)state;
  run(true, 1);
}

static void test_offsets_of_several_tokens_are_64_bit(void **state) {
  (void)state;
  run(false, 3);
}

/* Rows of one column; the last row begins beyond 2^32. */
enum { INDICES = 3 };
static const int64_t wide_indices[INDICES] = {3, (INT64_C(1) << 31) + 1, (INT64_C(1) << 32) + 2};

static void check_indices(int32_t *req_to_token) {
  char text[HOST_KERNEL_TEXT_SIZE];
  const int32_t seq_lens[INDICES] = {1, 1, 1};
  int32_t vectors[5][INDICES + 1];
  int32_t page_table_1[INDICES] = {0};
  for (int i = 0; i < INDICES; ++i) req_to_token[wide_indices[i]] = 10 + i;
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  args.seq_lens = address(seq_lens);
  args.req_pool_indices = address(wide_indices);
  args.req_pool_indices_type = UDM_INT64;
  args.req_to_token = address(req_to_token);
  args.req_to_token_stride = args.page_table_stride = args.max_len = 1;
  args.batch_size = INDICES;
  args.num_backends = 1;
  args.backends[0] =
      (udm_backend_outputs){address(vectors[0]), address(vectors[1]), address(page_table_1),
                            address(vectors[2]), address(vectors[3]), 0,
                            address(vectors[4])};
  if (!decode_launch_direct(&args, decode_launch_grid(&args), 1, text)) fail_msg("%s", text);
  for (int i = 0; i < INDICES; ++i) assert_int_equal(page_table_1[i], 10 + i);
}

static void test_indices_are_64_bit(void **state) {
  (void)state;
  const int64_t elements = wide_indices[INDICES - 1] + 1;
  int32_t *req_to_token = reserve(elements);
  if (req_to_token) {
    check_indices(req_to_token);
    release(req_to_token, elements);
  } else {
    printf("skipped: %lld bytes of address space cannot be reserved\n", (long long)elements * 4);
    skip();
  }
}

enum { LONG_PAGE = 1 << 20, LONG_PAGES = 1 << 11 };

/* INT32_MAX tokens per row. The kernel reads one token per page, so most memory stays untouched. */
static void check_longest_rows(int32_t *req_to_token) {
  char text[HOST_KERNEL_TEXT_SIZE];
  static int32_t vectors[5][3], pages[2][LONG_PAGES + 1];
  const int32_t seq_lens[2] = {INT32_MAX, INT32_MAX - LONG_PAGE};
  const int32_t req_pool_indices[2] = {0, 0};
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  for (int64_t p = 0; p < LONG_PAGES; ++p) {
    req_to_token[p * LONG_PAGE] = (int32_t)(p * LONG_PAGE + p);
  }
  args.seq_lens = address(seq_lens);
  args.req_pool_indices = address(req_pool_indices);
  args.req_to_token = address(req_to_token);
  args.req_to_token_stride = args.max_len = INT32_MAX;
  args.real_page_table_stride = LONG_PAGES + 1;
  args.batch_size = 2;
  args.num_backends = 1;
  args.real_page_size = LONG_PAGE;
  args.backends[0] = (udm_backend_outputs){address(vectors[0]), address(vectors[1]), 0,
                                           address(vectors[2]), address(vectors[3]), address(pages),
                                           address(vectors[4])};
  memset(pages, 0xff, sizeof pages);
  if (!decode_launch_direct(&args, decode_launch_grid(&args), 1, text)) fail_msg("%s", text);
  for (int32_t p = 0; p < LONG_PAGES; ++p) {
    assert_int_equal(pages[0][p], p);
    assert_int_equal(pages[1][p], p < LONG_PAGES - 1 ? p : -1);
  }
  assert_int_equal(pages[0][LONG_PAGES], -1);
  assert_int_equal(pages[1][LONG_PAGES], -1);
}

static void test_the_longest_rows(void **state) {
  (void)state;
  int32_t *req_to_token = reserve(INT32_MAX);
  if (req_to_token) {
    check_longest_rows(req_to_token);
    release(req_to_token, INT32_MAX);
  } else {
    printf("skipped: %lld bytes of address space cannot be reserved\n", (long long)INT32_MAX * 4);
    skip();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_direct_offsets_are_64_bit),
      cmocka_unit_test(test_table_offsets_are_64_bit),
      cmocka_unit_test(test_offsets_of_several_tokens_are_64_bit),
      cmocka_unit_test(test_indices_are_64_bit),
      cmocka_unit_test(test_the_longest_rows),
  };
  return cmocka_run_group_tests_name("offsets beyond 32 bits", tests, NULL, NULL);
}
