/*
 * test_older_caller.c: a program of an older udm.h (older/) with today's library, over the fake
 * driver. The library fills every structure that has grown since only as far as the program's own,
 * and reads no further.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_headers.h"
#include "udm.h" /* older/udm.h */

#ifdef UDM_CACHE_PRUNE_OPTIONS_INIT
#error "this is the udm.h of today"
#endif

enum { GUARD = 0x5a, GUARD_BYTES = 256 };

/* A structure of this program with the memory after it. */
#define GUARDED(type, name)            \
  struct {                             \
    type value;                        \
    unsigned char guard[GUARD_BYTES];  \
  } name;                              \
  memset(&(name), GUARD, sizeof name); \
  (name).value.struct_size = sizeof name.value

#define ASSERT_GUARDED(name) \
  assert_guarded((name).value.struct_size, sizeof name.value, (name).guard)

static void assert_guarded(size_t struct_size, size_t size, const unsigned char *guard) {
  assert_int_equal(struct_size, size);
  for (size_t i = 0; i < GUARD_BYTES; ++i) assert_int_equal(guard[i], GUARD);
}

#define ASSERT_OK(call) assert_ok((call), #call)

static void assert_ok(udm_status status, const char *call) {
  if (status != UDM_OK) fail_msg("%s: %s", call, udm_last_error());
}

/* Options of this program: the bytes after them are not fields. */
static struct {
  udm_options value;
  unsigned char guard[GUARD_BYTES];
} given = {UDM_OPTIONS_INIT, {0}};

static udm_context *ctx;

static int (*cu_init)(unsigned int flags);
static int (*cu_ctx_create)(CUcontext *context, unsigned int flags, int device);
static int (*cu_ctx_synchronize)(void);
static int (*cu_ctx_destroy)(CUcontext context);
static CUcontext cuda_context;

static void find(const char *name, void *function) {
  void *address = NULL;
  ASSERT_OK(udm_driver_symbol(&given.value, name, &address));
  memcpy(function, &address, sizeof address);
}

static int setup(void **state) {
  (void)state;
  memset(given.guard, GUARD, sizeof given.guard);
  find("cuInit", &cu_init);
  find("cuCtxCreate_v2", &cu_ctx_create);
  find("cuCtxSynchronize", &cu_ctx_synchronize);
  find("cuCtxDestroy_v2", &cu_ctx_destroy);
  if (cu_init(0) != 0 || cu_ctx_create(&cuda_context, 0, 0) != 0) return -1;
  ASSERT_OK(udm_create(&given.value, &ctx));
  return 0;
}

static int teardown(void **state) {
  (void)state;
  udm_destroy(ctx);
  return cu_ctx_destroy(cuda_context);
}

static void test_the_library_is_not_older(void **state) {
  (void)state;
  assert_true(udm_version() >= UDM_VERSION_MAJOR * 10000 + UDM_VERSION_MINOR * 100);
}

static void test_queries_of_the_machine_fill_no_more_than_the_older_structures(void **state) {
  (void)state;
  GUARDED(udm_context_info, info);
  ASSERT_OK(udm_get_context_info(ctx, &info.value));
  assert_int_equal(info.value.device_arch, 90);
  assert_true(info.value.multiprocessor_count > 0);
  ASSERT_GUARDED(info);

  GUARDED(udm_driver_info, driver);
  ASSERT_OK(udm_query_driver(&given.value, &driver.value));
  assert_int_equal(driver.value.device_count, 1);
  ASSERT_GUARDED(driver);

  GUARDED(udm_device_info, device);
  ASSERT_OK(udm_query_device(&given.value, 0, &device.value));
  assert_int_equal(device.value.arch, 90);
  ASSERT_GUARDED(device);

  GUARDED(udm_nvrtc_info, nvrtc);
  ASSERT_OK(udm_query_nvrtc(&given.value, &nvrtc.value));
  assert_true(nvrtc.value.arch_count > 0);
  ASSERT_GUARDED(nvrtc);
}

static void test_queries_of_the_cache_fill_no_more_than_the_older_structures(void **state) {
  (void)state;
  GUARDED(udm_image_plan, plan);
  ASSERT_OK(udm_plan_image(&given.value, 90, &plan.value));
  assert_int_equal(plan.value.image_arch, 90);
  ASSERT_GUARDED(plan);

  GUARDED(udm_cache_layer_info, layer);
  ASSERT_OK(udm_query_cache_layer(&given.value, 0, &layer.value));
  assert_int_equal(layer.value.usable, 1);
  ASSERT_GUARDED(layer);

  GUARDED(udm_prewarm_result, result);
  ASSERT_OK(udm_prewarm(&given.value, 90, 0, &result.value));
  assert_true(result.value.bytes > 0);
  assert_true(result.value.path[0] == '/');
  ASSERT_GUARDED(result);
}

static int look_at_entry(void *count, const udm_cache_entry_info *entry) {
  assert_true(entry->struct_size >= sizeof *entry);
  if (entry->state != UDM_CACHE_ENTRY_OK) return 0; /* from an earlier build of this tree */
  assert_string_equal(entry->reason, "");
  assert_true(entry->bytes > 0);
  ++*(int *)count;
  return 0;
}

static void test_callbacks_receive_older_structures(void **state) {
  (void)state;
  int count = 0;
  ASSERT_OK(udm_cache_enumerate(&given.value, look_at_entry, &count));
  assert_true(count > 0);
}

enum { BS = 2, WIDTH = 8, OUTPUTS = 5 };

/* A decode of this program: its tensors, and its arguments with the memory after them. */
struct decode {
  int32_t seq_lens[BS];
  int32_t indices[BS];
  int32_t req_to_token[BS * WIDTH];
  int32_t out[OUTPUTS][BS + 1];
  udm_decode_args args;
  unsigned char guard[GUARD_BYTES]; /* not fields: a library that reads on finds no mode */
};

static CUdeviceptr address(const int32_t *values) { return (CUdeviceptr)(uintptr_t)values; }

static void make_decode(struct decode *decode) {
  const udm_decode_args init = UDM_DECODE_ARGS_INIT;
  udm_decode_args *args = &decode->args;
  memset(decode, GUARD, sizeof *decode);
  memset(decode->out, 0, sizeof decode->out);
  decode->seq_lens[0] = 3;
  decode->seq_lens[1] = 5;
  decode->indices[0] = 1;
  decode->indices[1] = 0;
  for (int32_t i = 0; i < BS * WIDTH; ++i) decode->req_to_token[i] = 100 + i;
  *args = init;
  args->seq_lens = address(decode->seq_lens);
  args->req_pool_indices = address(decode->indices);
  args->req_to_token = address(decode->req_to_token);
  args->req_to_token_stride = WIDTH;
  args->batch_size = BS;
  args->max_len = WIDTH;
  args->num_backends = 1;
  args->nsa_index_topk = 4;
  args->backends[0].cache_seqlens = address(decode->out[0]);
  args->backends[0].cu_seqlens_k = address(decode->out[1]);
  args->backends[0].nsa_cache_seqlens = address(decode->out[2]);
  args->backends[0].nsa_cu_seqlens_k = address(decode->out[3]);
  args->backends[0].seqlens_expanded = address(decode->out[4]);
}

static void test_older_arguments_decode(void **state) {
  (void)state;
  static struct decode decode;
  make_decode(&decode);
  ASSERT_OK(udm_decode_metadata_reference(&decode.args));
  assert_int_equal(decode.out[1][BS], 8);
  make_decode(&decode);
  ASSERT_OK(udm_decode_metadata_direct(ctx, &decode.args, NULL));
  assert_int_equal(cu_ctx_synchronize(), 0);
  assert_int_equal(decode.out[1][BS], 8);
  assert_int_equal(decode.out[3][BS], 7);
}

static void test_older_arguments_decode_through_a_pointer_table(void **state) {
  (void)state;
  static struct decode decode;
  make_decode(&decode);
  const udm_backend_outputs table = decode.args.backends[0]; /* one backend: seven rows of one */
  memset(decode.args.backends, 0, sizeof decode.args.backends);
  ASSERT_OK(udm_decode_metadata_table(ctx, &decode.args, (CUdeviceptr)(uintptr_t)&table, 1, NULL));
  assert_int_equal(cu_ctx_synchronize(), 0);
  assert_int_equal(decode.out[1][BS], 8);
  assert_int_equal(decode.out[3][BS], 7);
}

/* It was an error in this program's udm.h, which a newer library no longer reports. */
static void test_a_null_output_is_not_written(void **state) {
  (void)state;
  static struct decode decode;
  make_decode(&decode);
  decode.args.backends[0].nsa_cu_seqlens_k = 0;
  ASSERT_OK(udm_decode_metadata_direct(ctx, &decode.args, NULL));
  assert_int_equal(cu_ctx_synchronize(), 0);
  assert_int_equal(decode.out[1][BS], 8);
  assert_int_equal(decode.out[3][BS], 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_library_is_not_older),
      cmocka_unit_test(test_queries_of_the_machine_fill_no_more_than_the_older_structures),
      cmocka_unit_test(test_queries_of_the_cache_fill_no_more_than_the_older_structures),
      cmocka_unit_test(test_callbacks_receive_older_structures),
      cmocka_unit_test(test_older_arguments_decode),
      cmocka_unit_test(test_older_arguments_decode_through_a_pointer_table),
      cmocka_unit_test(test_a_null_output_is_not_written),
  };
  udm_nvrtc_info nvrtc = {.struct_size = sizeof nvrtc};
  if (udm_query_nvrtc(NULL, &nvrtc) != UDM_OK) {
    printf("skipped: %s\n", udm_last_error());
    return 77;
  }
  return cmocka_run_group_tests_name("an older caller", tests, setup, teardown);
}
