/*
 * A fault inside the fake driver ends the process: a test framework's
 * handler would go on with the driver's lock held, and hang.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka needs the headers above */
#include <cmocka.h>

#include "driver_functions.h"

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
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_fault_in_a_call_ends_the_process)};
  return cmocka_run_group_tests_name("faults in the fake driver", tests, NULL, NULL);
}
