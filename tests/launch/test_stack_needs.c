/*
 * test_stack_needs.c: the calls on a thread with no more stack than docs/EMBEDDING.md states.
 * A call that needs more ends in the guard page, and so does this program.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>

#include "gpu_fixture.h"

/* Of whole threads, their thread-local storage included. */
enum { KIB = 1024, CREATE_STACK = 32 * KIB, PLAN_STACK = 48 * KIB, LAUNCH_STACK = 16 * KIB };

struct call {
  const struct gpu_session *session;
  udm_context *ctx;
  udm_image_plan *plan;
  udm_status status;
};

static void on_stack(size_t bytes, void *(*work)(void *call), struct call *call) {
  pthread_t thread;
  pthread_attr_t attributes;
  assert_int_equal(pthread_attr_init(&attributes), 0);
  assert_int_equal(pthread_attr_setstacksize(&attributes, bytes), 0);
  assert_int_equal(pthread_create(&thread, &attributes, work, call), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  pthread_attr_destroy(&attributes);
}

static void drop_line(void *user_data, udm_log_level level, const char *message) {
  (void)user_data;
  (void)level;
  (void)message;
}

static void *create(void *user_data) {
  struct call *call = user_data;
  udm_options options = UDM_OPTIONS_INIT;
  options.log = drop_line;
  call->session->driver.cuCtxSetCurrent(call->session->context);
  call->status = udm_create(&options, &call->ctx);
  return NULL;
}

/* Searches for NVRTC and opens it, if this machine has one. */
static void *plan(void *user_data) {
  struct call *call = user_data;
  udm_options options = UDM_OPTIONS_INIT;
  options.cache_dir = "/there/is/no/such/folder";
  call->status = udm_plan_image(&options, 90, call->plan);
  return NULL;
}

static void *prepare(void *user_data) {
  struct call *call = user_data;
  static int32_t numbers[8];
  const CUdeviceptr address = (CUdeviceptr)(uintptr_t)numbers;
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  udm_kernel_launch launch = UDM_KERNEL_LAUNCH_INIT;
  args.seq_lens = address;
  args.batch_size = 2;
  args.num_backends = 1;
  args.backends[0].cache_seqlens = address;
  args.backends[0].seqlens_expanded = address;
  args.backends[0].nsa_cache_seqlens = address;
  args.backends[0].cu_seqlens_k = address;
  args.backends[0].nsa_cu_seqlens_k = address;
  args.nsa_index_topk = 100;
  call->status = udm_prepare_direct(call->ctx, &args, &launch);
  return NULL;
}

static void test_each_call(void **state) {
  static udm_image_plan image_plan = {.struct_size = sizeof image_plan};
  struct call call = {.session = *state, .plan = &image_plan};
  udm_context *first = NULL;
  assert_int_equal(udm_create(NULL, &first), UDM_OK); /* from now on the cache is warm */
  udm_destroy(first);
  on_stack(CREATE_STACK, create, &call);
  assert_int_equal(call.status, UDM_OK);
  on_stack(PLAN_STACK, plan, &call);
  assert_int_equal(call.status, UDM_OK);
  on_stack(LAUNCH_STACK, prepare, &call);
  assert_int_equal(call.status, UDM_OK);
  udm_destroy(call.ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_call)};
  gpu_fixture_skip_if_impossible();
  return cmocka_run_group_tests(tests, gpu_fixture_open, gpu_fixture_close);
}
