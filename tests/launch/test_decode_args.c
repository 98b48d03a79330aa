/*
 * test_decode_args.c: breaks each rule of udm_decode_args alone, and checks the status
 * and the name of the argument in the message.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "launch/decode_args.h"

#include <string.h>

#include "cmocka_headers.h"

/* Nothing here dereferences an address. */
static udm_decode_args good_args(void) {
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  args.seq_lens = 0x10008;
  args.req_pool_indices = 0x20008;
  args.req_to_token = 0x30004;
  args.req_to_token_stride = 100;
  args.page_table_stride = 100;
  args.real_page_table_stride = 25;
  args.batch_size = 2;
  args.max_len = 100;
  args.num_backends = 3;
  args.nsa_index_topk = 2048;
  args.real_page_size = 4;
  for (int b = 0; b < UDM_MAX_BACKENDS; ++b) {
    CUdeviceptr *outputs = &args.backends[b].cache_seqlens;
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
      outputs[o] = 0x100004u + (CUdeviceptr)(0x1000 * (8 * b + o));
    }
  }
  return args;
}

static udm_status check(const udm_decode_args *args) {
  udm_decode_args storage;
  return udm_check_decode_args(&args, &storage, udm_thread_error());
}

static udm_status check_for_table(const udm_decode_args *args) {
  udm_decode_args storage;
  return udm_check_decode_args_for_table(&args, &storage, udm_thread_error());
}

static void refuses(const udm_decode_args *args, const char *name) {
  assert_int_equal(check(args), UDM_ERROR_INVALID_ARGUMENT);
  if (!strstr(udm_last_error(), name)) fail_msg("'%s' does not name %s", udm_last_error(), name);
}

static void accepts(const udm_decode_args *args) {
  const udm_status status = check(args);
  if (status != UDM_OK) fail_msg("%s", udm_last_error());
}

/* Sets one field of good arguments to a value that must be rejected by its name. */
#define REFUSES(field, value)              \
  do {                                     \
    udm_decode_args broken_ = good_args(); \
    broken_.field = (value);               \
    refuses(&broken_, #field);             \
  } while (0)

static void test_good_ones_pass(void **state) {
  (void)state;
  const udm_decode_args args = good_args();
  accepts(&args);
}

static void test_structure(void **state) {
  (void)state;
  assert_int_equal(check(NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_string_equal(udm_last_error(), "args is null");
  REFUSES(struct_size, 0);
  REFUSES(struct_size, offsetof(udm_decode_args, mode) - 1);
  REFUSES(struct_size, SIZE_MAX);
}

static void test_a_newer_caller_must_not_use_what_is_unknown(void **state) {
  (void)state;
  struct {
    udm_decode_args args;
    int64_t later_field;
  } newer = {good_args(), 0};
  newer.args.struct_size = sizeof newer;
  accepts(&newer.args);
  newer.later_field = 1;
  refuses(&newer.args, "newer udm");
}

static void test_scalars(void **state) {
  (void)state;
  REFUSES(batch_size, -1);
  REFUSES(max_len, -1);
  REFUSES(num_backends, 0);
  REFUSES(num_backends, UDM_MAX_DIRECT_BACKENDS + 1);
  REFUSES(num_backends, -3);
  REFUSES(nsa_index_topk, -1);
  REFUSES(real_page_size, 0);
  REFUSES(real_page_size, -64);
  REFUSES(seq_lens_type, (udm_int_type)2);
  REFUSES(req_pool_indices_type, (udm_int_type)-1);
  REFUSES(extent, (udm_extent)7);
}

static void test_strides(void **state) {
  (void)state;
  REFUSES(req_to_token_stride, 99);
  REFUSES(req_to_token_stride, -1);
  REFUSES(page_table_stride, 99);
  REFUSES(real_page_table_stride, 24);
  REFUSES(req_to_token_stride, INT64_MAX);
  REFUSES(page_table_stride, INT64_MAX);
  REFUSES(real_page_table_stride, (INT64_C(1) << 31) + 1);
  udm_decode_args args = good_args();
  args.max_len = INT32_MAX; /* counting the columns must not overflow */
  args.req_to_token_stride = INT32_MAX;
  args.page_table_stride = INT32_MAX;
  args.real_page_table_stride = 536870911;
  refuses(&args, "real_page_table_stride");
  args.real_page_table_stride = 536870912;
  accepts(&args);
}

static void accepts_all_ways(const udm_decode_args *args) {
  accepts(args);
  if (check_for_table(args) != UDM_OK) fail_msg("%s", udm_last_error());
}

static void refuses_all_ways(const udm_decode_args *args, const char *name) {
  refuses(args, name);
  assert_int_equal(check_for_table(args), UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(udm_decode_metadata_reference(args), UDM_ERROR_INVALID_ARGUMENT);
}

/* Tiles of 128 columns, misaligned by up to 31; tiles of pages if there is no page_table_1. */
static void test_more_tiles_than_the_kernel_counts_are_refused(void **state) {
  (void)state;
  udm_decode_args args = good_args();
  args.req_to_token_stride = args.page_table_stride = args.real_page_table_stride = INT32_MAX;
  args.batch_size = INT32_MAX;
  args.max_len = 128 - 31;
  accepts_all_ways(&args);
  args.max_len = 128 - 31 + 1;
  refuses_all_ways(&args, "batch_size");
  args.batch_size = (1 << 30) - 1;
  accepts_all_ways(&args);
  args.batch_size = 1 << 30;
  refuses_all_ways(&args, "max_len");
  args.batch_size = 127; /* 2^24 + 1 tiles per row */
  args.max_len = INT32_MAX;
  accepts_all_ways(&args);
  args.batch_size = 128;
  refuses_all_ways(&args, "max_len");
  args.batch_size = 256; /* just over 2^32: 32 bits do not hold it */
  refuses_all_ways(&args, "max_len");

  for (int b = 0; b < UDM_MAX_BACKENDS; ++b) args.backends[b].page_table_1 = 0;
  refuses_all_ways(&args, "set page_table_stride to 0"); /* what to do */
  args.page_table_stride = 0;
  args.batch_size = 127; /* 2^24 tiles of 32 pages of 4 tokens */
  accepts_all_ways(&args);
  args.batch_size = 128;
  refuses_all_ways(&args, "batch_size");
  args.page_table_stride = INT32_MAX; /* more of them than of columns */
  args.real_page_size = 2;
  args.batch_size = 63;
  accepts_all_ways(&args);
  args.batch_size = 64;
  refuses_all_ways(&args, "batch_size");
}

static void test_inputs(void **state) {
  (void)state;
  REFUSES(seq_lens, 0);
  REFUSES(req_pool_indices, 0);
  REFUSES(req_to_token, 0);
  REFUSES(seq_lens, 0x10002);
  REFUSES(req_pool_indices, 0x20001);
  REFUSES(req_to_token, 0x30003);
  udm_decode_args args = good_args();
  args.seq_lens = 0x10004;
  accepts(&args);
  args.seq_lens_type = UDM_INT64;
  refuses(&args, "seq_lens");
}

static void test_outputs(void **state) {
  (void)state;
  REFUSES(backends[0].cache_seqlens, 0x100001);
  REFUSES(backends[1].cu_seqlens_k, 0x100002);
  REFUSES(backends[2].page_table_1, 0x100003);
  REFUSES(backends[0].nsa_cache_seqlens, 0x100006);
  REFUSES(backends[1].nsa_cu_seqlens_k, 0x100007);
  REFUSES(backends[2].real_page_table, 0x100009);
  REFUSES(backends[0].seqlens_expanded, 0x10000a);
}

static void test_page_size_1(void **state) {
  (void)state;
  udm_decode_args args = good_args();
  args.real_page_size = 1;
  refuses(&args, "backends[0].real_page_table");
  for (int b = 0; b < 3; ++b) args.backends[b].real_page_table = 0;
  args.real_page_table_stride = 0;
  accepts(&args);
}

static void test_what_is_not_needed_may_be_missing(void **state) {
  (void)state;
  udm_decode_args args = good_args();
  for (int b = 0; b < 3; ++b) args.backends[b].page_table_1 = 0;
  args.page_table_stride = 0;
  accepts(&args);

  args = good_args();
  args.batch_size = 0;
  args.seq_lens = args.req_pool_indices = args.req_to_token = 0;
  args.backends[0].cache_seqlens = 0;
  args.backends[0].real_page_table = 0;
  accepts(&args);

  args = good_args();
  for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) {
    (&args.backends[o % 3].cache_seqlens)[o] = 0;
    accepts(&args);
  }

  args = good_args();
  args.max_len = 0;
  args.req_pool_indices = args.req_to_token = 0;
  args.req_to_token_stride = 0;
  accepts(&args);

  args = good_args();
  args.num_backends = 1;
  args.backends[1].cache_seqlens = 1; /* not checked */
  accepts(&args);
}

static void test_table(void **state) {
  (void)state;
  udm_decode_args args = good_args();
  memset(args.backends, 0, sizeof args.backends);
  args.num_backends = UDM_MAX_BACKENDS;
  assert_int_equal(check_for_table(&args), UDM_OK);
  args.num_backends = UDM_MAX_BACKENDS + 1;
  assert_int_equal(check_for_table(&args), UDM_ERROR_INVALID_ARGUMENT);
  args.num_backends = 1;
  args.page_table_stride = 99;
  assert_int_equal(check_for_table(&args), UDM_ERROR_INVALID_ARGUMENT);
  args.page_table_stride = 0;
  args.real_page_table_stride = 0;
  assert_int_equal(check_for_table(&args), UDM_OK);
  args.real_page_table_stride = 24;
  assert_int_equal(check_for_table(&args), UDM_ERROR_INVALID_ARGUMENT);
}

/* An older caller's structure ends with the backends; what lies behind it is not read. */
static void test_an_older_caller_decodes(void **state) {
  (void)state;
  udm_decode_args older = good_args(), storage;
  older.mode = UDM_MODE_DRAFT_EXTEND;
  older.struct_size = offsetof(udm_decode_args, mode);
  const udm_decode_args *args = &older;
  assert_int_equal(udm_check_decode_args(&args, &storage, udm_thread_error()), UDM_OK);
  assert_ptr_equal(args, &storage);
  assert_int_equal(args->mode, UDM_MODE_DECODE);
  assert_true(udm_is_decode_only(args));
  assert_int_equal(udm_num_tokens(args), 2);
}

static udm_decode_args verify_args(void) {
  udm_decode_args args = good_args();
  args.mode = UDM_MODE_TARGET_VERIFY;
  args.tokens_per_request = 4;
  return args;
}

#define REFUSES_IN(good, field, value) \
  do {                                 \
    udm_decode_args broken_ = (good);  \
    broken_.field = (value);           \
    refuses(&broken_, #field);         \
  } while (0)

static void test_modes(void **state) {
  (void)state;
  REFUSES(mode, (udm_mode)3);
  REFUSES(mode, (udm_mode)-1);
  REFUSES(index_kpool, -1);
  REFUSES(flags, 0x8);
  REFUSES(reserved, 1);
  REFUSES(tokens_per_request, 2);
  REFUSES(extend_lens, 0x40000);
  REFUSES(extend_lens_type, (udm_int_type)2);
  REFUSES(num_tokens, 2);
  REFUSES(seqlen_offset[1], -1);
  REFUSES_IN(verify_args(), tokens_per_request, 0);
  REFUSES_IN(verify_args(), tokens_per_request, INT32_MAX);
  REFUSES_IN(verify_args(), seqlen_offset[2], 1);
  REFUSES_IN(verify_args(), num_tokens, 8);
  udm_decode_args args = verify_args();
  accepts(&args);
  assert_int_equal(udm_num_tokens(&args), 8);
  args.backends[1].seqlens_expanded = args.backends[1].cache_seqlens;
  refuses(&args, "backends[1].seqlens_expanded is cache_seqlens");
  args.mode = UDM_MODE_DECODE;
  args.tokens_per_request = 1;
  accepts(&args);
}

static void test_ragged_batches(void **state) {
  (void)state;
  udm_decode_args args = verify_args();
  args.tokens_per_request = 0;
  args.extend_lens = 0x40004;
  args.num_tokens = 11;
  accepts(&args);
  assert_int_equal(udm_num_tokens(&args), 11);
  REFUSES_IN(args, tokens_per_request, 4);
  REFUSES_IN(args, num_tokens, -1);
  REFUSES_IN(args, extend_lens, 0x40002);
  args.extend_lens_type = UDM_INT64;
  refuses(&args, "extend_lens");
}

static void test_extra_outputs(void **state) {
  (void)state;
  REFUSES(extra[0].cu_seqlens_q, 0x50001);
  REFUSES(extra[1].paged_mqa_ctx_lens, 0x50002);
  REFUSES(extra[2].paged_mqa_schedule, 0x50003);
  udm_decode_args args = good_args();
  args.extra[2].paged_mqa_schedule = 0x50004;
  refuses(&args, "num_sms");
  args.num_sms = 132;
  refuses(&args, "schedule_variant");
  args.schedule_variant = (udm_schedule_variant)3;
  refuses(&args, "schedule_variant");
  args.schedule_variant = UDM_SCHEDULE_SM100;
  accepts(&args);
  assert_int_equal(check_for_table(&args), UDM_OK);
  REFUSES_IN(args, schedule_next_n, -1);
}

static void test_null_handles(void **state) {
  (void)state;
  const udm_decode_args args = good_args();
  udm_context_info info = UDM_CONTEXT_INFO_INIT;
  assert_int_equal(udm_decode_metadata_direct(NULL, &args, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_string_equal(udm_last_error(), "ctx is null");
  assert_int_equal(udm_decode_metadata_table(NULL, &args, 8, 8, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(udm_create(NULL, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(udm_get_context_info(NULL, &info), UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(udm_query_driver(NULL, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(udm_query_device(NULL, 0, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(udm_query_nvrtc(NULL, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(udm_plan_image(NULL, 90, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(udm_query_cache_layer(NULL, 0, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(udm_cache_enumerate(NULL, NULL, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(udm_driver_symbol(NULL, NULL, NULL), UDM_ERROR_INVALID_ARGUMENT);
  udm_destroy(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_good_ones_pass),
      cmocka_unit_test(test_structure),
      cmocka_unit_test(test_a_newer_caller_must_not_use_what_is_unknown),
      cmocka_unit_test(test_scalars),
      cmocka_unit_test(test_strides),
      cmocka_unit_test(test_more_tiles_than_the_kernel_counts_are_refused),
      cmocka_unit_test(test_inputs),
      cmocka_unit_test(test_outputs),
      cmocka_unit_test(test_page_size_1),
      cmocka_unit_test(test_what_is_not_needed_may_be_missing),
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_an_older_caller_decodes),
      cmocka_unit_test(test_modes),
      cmocka_unit_test(test_ragged_batches),
      cmocka_unit_test(test_extra_outputs),
      cmocka_unit_test(test_null_handles),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
