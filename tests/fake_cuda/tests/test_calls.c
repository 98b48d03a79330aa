/*
 * test_calls.c: what every function of the fake driver shares: calls are counted and fail on
 * demand. A memory fault inside the driver ends the process: a test framework's handler would go on
 * with the driver's lock held, and hang.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver_fixture.h"
#include "fake_cuda.h"

static void test_calls_are_counted_and_fail_on_demand(void **state) {
  (void)state;
  CUdeviceptr memory = 0;
  fake_cuda_reset_calls();
  setenv("UDM_FAKE_CUDA_FAIL", "cuCtxSynchronize:719,cuMemAlloc_v2:2:2", 1);
  assert_int_equal(cuCtxSynchronize(), 719);
  assert_int_equal(cuCtxSynchronize(), 719);
  assert_int_equal(cuMemAlloc_v2(&memory, 8), CUDA_SUCCESS);
  assert_int_equal(cuMemAlloc_v2(&memory, 8), CUDA_ERROR_OUT_OF_MEMORY);
  assert_int_equal(cuMemAlloc_v2(&memory, 8), CUDA_SUCCESS);
  unsetenv("UDM_FAKE_CUDA_FAIL");
  assert_int_equal(cuCtxSynchronize(), CUDA_SUCCESS);
  assert_int_equal(fake_cuda_calls("cuCtxSynchronize"), 3);
  assert_int_equal(fake_cuda_calls("cuMemAlloc_v2"), 3);
  assert_int_equal(fake_cuda_calls(NULL), 6);
  assert_int_equal(fake_cuda_calls("cuNoSuchCall"), -1);
}

static void test_a_fault_in_a_call_ends_the_process(void **state) {
  (void)state;
  CUcontext context = NULL;
  CUdeviceptr memory = 0;
  assert_int_equal(cuInit(0), CUDA_SUCCESS);
  assert_int_equal(cuCtxCreate_v2(&context, 0, 0), CUDA_SUCCESS);
  assert_int_equal(cuMemAlloc_v2(&memory, 8), CUDA_SUCCESS);
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    close(STDERR_FILENO);
    cuMemcpyHtoD_v2(memory, (const void *)(uintptr_t)sysconf(_SC_PAGESIZE), 8);
    _exit(0);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), SIGSEGV);
  assert_int_equal(cuCtxDestroy_v2(context), CUDA_SUCCESS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      DRIVER_TEST(test_calls_are_counted_and_fail_on_demand),
      cmocka_unit_test(test_a_fault_in_a_call_ends_the_process),
  };
  return cmocka_run_group_tests_name("fake driver: calls", tests, NULL, NULL);
}
