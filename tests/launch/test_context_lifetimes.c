/*
 * test_context_lifetimes.c: how contexts end: before or after their CUDA context, in a child
 * process, in a thread with every signal blocked. No thread and no file remains.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu_fixture.h"

static udm_context *create(void) {
  udm_context *ctx = NULL;
  if (udm_create(NULL, &ctx) != UDM_OK) fail_msg("%s", udm_last_error());
  return ctx;
}

/* The smallest launch: an empty batch, which writes two leading zeros to `sums`. */
static udm_decode_args empty_batch_at(CUdeviceptr sums) {
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  args.num_backends = 1;
  args.backends[0].cu_seqlens_k = sums;
  args.backends[0].nsa_cu_seqlens_k = sums;
  return args;
}

static udm_status launch_at(udm_context *ctx, CUdeviceptr sums) {
  const udm_decode_args args = empty_batch_at(sums);
  return udm_decode_metadata_direct(ctx, &args, NULL);
}

static udm_status launch(const struct cuda_driver *driver, udm_context *ctx) {
  CUdeviceptr sums = 0;
  if (driver->cuMemAlloc_v2(&sums, 4) != CUDA_SUCCESS) return UDM_ERROR_OUT_OF_MEMORY;
  udm_status status = launch_at(ctx, sums);
  if (driver->cuCtxSynchronize() != CUDA_SUCCESS) status = UDM_ERROR_DRIVER;
  driver->cuMemFree_v2(sums);
  return status;
}

/* Counts the calls of the fake driver; NULL over a real one, which does not count. */
static int64_t (*count_calls(void))(const char *name) {
  int64_t (*calls)(const char *) = NULL;
  void *address = NULL;
  if (udm_driver_symbol(NULL, "fake_cuda_calls", &address) == UDM_OK) {
    memcpy(&calls, &address, sizeof address);
  }
  return calls;
}

static void test_the_cuda_context_may_go_first(void **state) {
  const struct gpu_session *session = *state;
  const struct cuda_driver *driver = &session->driver;
  CUcontext second = NULL;
  ASSERT_CUDA(driver, cuCtxCreate_v2(&second, 0, session->device));
  udm_context *ctx = create();
  assert_int_equal(launch(driver, ctx), UDM_OK);
  ASSERT_CUDA(driver, cuCtxDestroy_v2(second));
  if (count_calls()) { /* a real driver may do anything with an unloaded function */
    assert_int_equal(launch(driver, ctx), UDM_ERROR_DRIVER);
    assert_non_null(strstr(udm_last_error(), "context"));
  }
  udm_context_info info = UDM_CONTEXT_INFO_INIT;
  assert_int_equal(udm_get_context_info(ctx, &info), UDM_OK); /* needs no CUDA */
  udm_destroy(ctx);
  CUcontext current = NULL;
  ASSERT_CUDA(driver, cuCtxGetCurrent(&current));
  assert_ptr_equal(current, session->context);
  assert_int_equal(launch(driver, session->udm), UDM_OK); /* the other contexts still work */
}

enum { SOMEWHERE = 4096 }; /* never written to */

/* A prepared launch is the same call to the driver, later. */
static udm_status prepare(udm_context *ctx, bool table, udm_kernel_launch *prepared) {
  const udm_decode_args args = empty_batch_at(SOMEWHERE);
  return table ? udm_prepare_table(ctx, &args, SOMEWHERE, 1, prepared)
               : udm_prepare_direct(ctx, &args, prepared);
}

static bool is_refused_to_prepare(udm_context *ctx, bool table) {
  udm_kernel_launch prepared = UDM_KERNEL_LAUNCH_INIT;
  return prepare(ctx, table, &prepared) == UDM_ERROR_INVALID_ARGUMENT &&
         strstr(udm_last_error(), "fork()") && !prepared.function;
}

static void assert_prepares(udm_context *ctx) {
  udm_kernel_launch prepared = UDM_KERNEL_LAUNCH_INIT;
  assert_int_equal(prepare(ctx, false, &prepared), UDM_OK);
  assert_int_equal(prepare(ctx, true, &prepared), UDM_OK);
}

/* In the child: the parent's context is rejected, and can be destroyed. Exit status 0: it was so.
 */
static int be_a_child(udm_context *ctx) {
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  int64_t (*calls)(const char *) = count_calls();
  const int64_t before = calls ? calls(NULL) : 0;
  if (launch_at(ctx, SOMEWHERE) != UDM_ERROR_INVALID_ARGUMENT) return 2;
  if (!strstr(udm_last_error(), "fork()")) return 3;
  if (udm_decode_metadata_table(ctx, &args, 8, 1, NULL) != UDM_ERROR_INVALID_ARGUMENT) return 4;
  if (!strstr(udm_last_error(), "fork()")) return 5;
  if (!is_refused_to_prepare(ctx, false)) return 7;
  if (!is_refused_to_prepare(ctx, true)) return 8;
  udm_destroy(ctx);
  return !calls || calls(NULL) == before ? 0 : 6; /* no driver call was made */
}

static int status_of(pid_t child) {
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void test_a_child_cannot_use_the_parents_context(void **state) {
  const struct gpu_session *session = *state;
  udm_context *ctx = create();
  for (int i = 0; i < 3; ++i) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(be_a_child(ctx));
    assert_int_equal(status_of(child), 0);
    assert_int_equal(launch(&session->driver, ctx), UDM_OK); /* the parent does not notice */
    assert_prepares(ctx);
  }
  const pid_t child = fork();
  if (child == 0) { /* a grandchild is rejected, too */
    const pid_t grandchild = fork();
    if (grandchild == 0) _exit(be_a_child(ctx));
    int status = 0;
    _exit(waitpid(grandchild, &status, 0) == grandchild && status == 0 ? 0 : 1);
  }
  assert_int_equal(status_of(child), 0);
  udm_destroy(ctx);
}

/* The fake driver works in the child of a user; a real one refuses, and says so. */
static int create_in_child(const struct cuda_driver *driver) {
  udm_context *ctx = NULL;
  const udm_status status = udm_create(NULL, &ctx);
  if (status != UDM_OK) return count_calls() || ctx || !*udm_last_error();
  udm_kernel_launch prepared = UDM_KERNEL_LAUNCH_INIT;
  const bool works = launch(driver, ctx) == UDM_OK && prepare(ctx, false, &prepared) == UDM_OK &&
                     prepare(ctx, true, &prepared) == UDM_OK;
  udm_destroy(ctx);
  return !works;
}

static void test_a_child_may_create_its_own_context(void **state) {
  const struct gpu_session *session = *state;
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) _exit(create_in_child(&session->driver));
  assert_int_equal(status_of(child), 0);
}

static int count_in(const char *folder) {
  int count = 0;
  DIR *listing = opendir(folder);
  assert_non_null(listing);
  while (readdir(listing)) ++count;
  closedir(listing);
  return count;
}

static void *use_with_signals_blocked(void *user_data) {
  const struct gpu_session *session = user_data;
  sigset_t all;
  sigset_t after;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  udm_context *ctx = NULL;
  const bool used = session->driver.cuCtxSetCurrent(session->context) == CUDA_SUCCESS &&
                    udm_create(NULL, &ctx) == UDM_OK && launch(&session->driver, ctx) == UDM_OK;
  udm_destroy(ctx);
  pthread_sigmask(SIG_SETMASK, NULL, &after);
  for (int signal = 1; signal <= SIGSYS; ++signal) {
    const bool can_be_blocked = signal != SIGKILL && signal != SIGSTOP;
    if (can_be_blocked && sigismember(&after, signal) != 1) return "a signal was unblocked";
  }
  return used ? NULL : "it could not be used";
}

static void test_a_thread_may_block_every_signal(void **state) {
  pthread_t thread;
  void *problem = NULL;
  struct sigaction before[SIGSYS + 1];
  for (int signal = 1; signal <= SIGSYS; ++signal) sigaction(signal, NULL, &before[signal]);
  assert_int_equal(pthread_create(&thread, NULL, use_with_signals_blocked, *state), 0);
  assert_int_equal(pthread_join(thread, &problem), 0);
  if (problem) fail_msg("%s", (const char *)problem);
  for (int signal = 1; signal <= SIGSYS; ++signal) {
    struct sigaction now;
    sigaction(signal, NULL, &now);
    assert_ptr_equal(now.sa_handler, before[signal].sa_handler);
  }
}

static void test_no_thread_and_no_file_remains(void **state) {
  (void)state;
  udm_destroy(create()); /* opens what is opened once per process */
  const int threads = count_in("/proc/self/task");
  const int files = count_in("/proc/self/fd");
  for (int i = 0; i < 20; ++i) udm_destroy(create());
  assert_int_equal(count_in("/proc/self/task"), threads);
  assert_int_equal(count_in("/proc/self/fd"), files);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_cuda_context_may_go_first),
      cmocka_unit_test(test_a_child_cannot_use_the_parents_context),
      cmocka_unit_test(test_a_child_may_create_its_own_context),
      cmocka_unit_test(test_a_thread_may_block_every_signal),
      cmocka_unit_test(test_no_thread_and_no_file_remains),
  };
  gpu_fixture_skip_if_impossible();
  return cmocka_run_group_tests_name("lifetimes", tests, gpu_fixture_open, gpu_fixture_close);
}
