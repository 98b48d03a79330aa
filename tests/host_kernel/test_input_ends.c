/*
 * test_input_ends.c: the kernel reads nothing past the end of an input. Each input ends where
 * readable memory ends: a read too far changes no value, so no other test would see it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* cmocka needs the headers above */
#include <cmocka.h>

#include "decode_launch.h"

enum { MOST_ROWS = 300, TOKENS = 4, UNIT = 128, STRIDE = 10 * UNIT, PAGE_SIZE = 16 };

static alignas(128) int32_t page_table_1[MOST_ROWS][STRIDE];
static int32_t real_page_table[MOST_ROWS][STRIDE / PAGE_SIZE];
static int32_t vectors[5][TOKENS * MOST_ROWS + 1];

/* Memory whose last byte is the last that may be read. */
struct edge {
  unsigned char *memory;
  size_t bytes; /* and one page more, without access */
};

static struct edge open_edge(size_t bytes) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  struct edge e = {NULL, (bytes + page - 1) / page * page};
  void *memory =
      mmap(NULL, e.bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(memory != MAP_FAILED);
  e.memory = memory;
  assert_int_equal(mprotect(e.memory + e.bytes, page, PROT_NONE), 0);
  return e;
}

/* The last `bytes` of the edge. */
static unsigned char *end_of(const struct edge *e, size_t bytes) {
  return e->memory + e->bytes - bytes;
}

static void close_edge(const struct edge *e) {
  munmap(e->memory, e->bytes + (size_t)sysconf(_SC_PAGESIZE));
}

static CUdeviceptr address(const void *pointer) { return (CUdeviceptr)(uintptr_t)pointer; }

static void launch_and_check(const udm_decode_args *args, const int32_t *slots, uint32_t copiers) {
  char text[HOST_KERNEL_TEXT_SIZE];
  const struct host_kernel_dim3 grid = {udm_length_blocks(args) + copiers, 1, 1};
  memset(page_table_1, 0, sizeof page_table_1);
  memset(real_page_table, 0xff, sizeof real_page_table);
  if (!decode_launch_direct(args, grid, 0, text)) fail_msg("%s", text);
  for (int32_t i = 0; i < args->batch_size; ++i) {
    assert_memory_equal(page_table_1[i], slots, (size_t)args->max_len * sizeof(int32_t));
    for (int32_t p = 0; p <= (args->max_len - 1) / PAGE_SIZE; ++p) {
      assert_int_equal(real_page_table[i][p], p); /* slot 16 p + 1 */
    }
  }
}

/* All rows are `columns` long and use the only row of req_to_token. A request has one token. */
static void check(int32_t rows, int32_t columns, udm_int_type type, uint32_t copiers) {
  const int32_t one = 1;
  const size_t integer = type == UDM_INT64 ? 8 : 4, bytes = (size_t)rows * integer;
  const struct edge lengths = open_edge(bytes), indices = open_edge(bytes);
  const struct edge extends = open_edge(bytes);
  const struct edge source = open_edge((size_t)columns * sizeof(int32_t));
  int32_t *slots = (int32_t *)(void *)end_of(&source, (size_t)columns * sizeof(int32_t));
  for (size_t at = 0; at < bytes; at += integer) {
    memcpy(end_of(&lengths, bytes) + at, &columns, sizeof columns);
    memcpy(end_of(&extends, bytes) + at, &one, sizeof one);
  }
  for (int32_t j = 0; j < columns; ++j) slots[j] = j + 1;
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  args.seq_lens = address(end_of(&lengths, bytes));
  args.req_pool_indices = address(end_of(&indices, bytes));
  args.seq_lens_type = args.req_pool_indices_type = type;
  args.req_to_token = address(slots);
  args.req_to_token_stride = args.max_len = columns;
  args.page_table_stride = STRIDE;
  args.real_page_table_stride = STRIDE / PAGE_SIZE;
  args.real_page_size = PAGE_SIZE;
  args.batch_size = rows;
  args.num_backends = 1;
  args.backends[0] = (udm_backend_outputs){
      address(vectors[0]), address(vectors[1]),      address(page_table_1), address(vectors[2]),
      address(vectors[3]), address(real_page_table), address(vectors[4])};
  launch_and_check(&args, slots, copiers);
  args.mode = UDM_MODE_DRAFT_EXTEND;
  args.extend_lens = address(end_of(&extends, bytes));
  args.extend_lens_type = type;
  args.num_tokens = rows;
  launch_and_check(&args, slots, copiers);
  close_edge(&lengths);
  close_edge(&indices);
  close_edge(&extends);
  close_edge(&source);
}

/* Rows of 1 to 9 tiles, the last one whole or not. A slice has 1 to 4 tiles. */
static void test_rows_that_end_where_memory_ends(void **state) {
  (void)state;
  static const int32_t less[] = {0, 1, 4, UNIT - 1};
  for (int32_t units = 1; units <= 9; ++units) {
    for (size_t l = 0; l < sizeof less / sizeof less[0]; ++l) {
      for (uint32_t copiers = 1; copiers <= 2; ++copiers) {
        check(4, units * UNIT - less[l], UDM_INT32, copiers);
      }
    }
  }
}

static void test_batches_that_end_where_memory_ends(void **state) {
  (void)state;
  static const int32_t sizes[] = {1, 5, 31, 32, 33, 63, 64, 65, 255, 256, 257, MOST_ROWS};
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
    check(sizes[s], 6 * UNIT, UDM_INT32, 1);
    check(sizes[s], 6 * UNIT, UDM_INT64, 3);
  }
}

/* A pair of length blocks may have query tokens and no request. */
static void test_query_tokens_of_batches_that_end_where_memory_ends(void **state) {
  (void)state;
  for (int32_t rows = 1; rows <= MOST_ROWS; ++rows) {
    const size_t bytes = (size_t)rows * sizeof(int32_t);
    const struct edge lengths = open_edge(bytes);
    udm_decode_args args = UDM_DECODE_ARGS_INIT;
    args.seq_lens = args.req_pool_indices = address(end_of(&lengths, bytes)); /* zeros */
    args.req_to_token = address(page_table_1);
    args.mode = UDM_MODE_TARGET_VERIFY;
    args.tokens_per_request = TOKENS;
    args.real_page_size = PAGE_SIZE;
    args.nsa_index_topk = 1;
    args.batch_size = rows;
    args.num_backends = 1;
    args.backends[0] = (udm_backend_outputs){.cu_seqlens_k = address(vectors[0]),
                                             .nsa_cu_seqlens_k = address(vectors[1])};
    const struct host_kernel_dim3 grid = {udm_length_blocks(&args), 1, 1};
    char text[HOST_KERNEL_TEXT_SIZE];
    if (!decode_launch_direct(&args, grid, 0, text)) fail_msg("%s", text);
    const int32_t tokens = TOKENS * rows; /* each sees one token or more: visible(x) is 1 */
    assert_int_equal(vectors[0][rows], tokens);
    assert_int_equal(vectors[1][tokens], tokens);
    close_edge(&lengths);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rows_that_end_where_memory_ends),
      cmocka_unit_test(test_batches_that_end_where_memory_ends),
      cmocka_unit_test(test_query_tokens_of_batches_that_end_where_memory_ends),
  };
  return cmocka_run_group_tests_name("ends of the inputs", tests, NULL, NULL);
}
