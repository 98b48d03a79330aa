/*
 * test_launch.c: the fake driver behaves like the driver: kernel launches. Runs with
 * UDM_FAKE_CUDA_DEVICES="9.0,8.6".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver_fixture.h"
#include "fake_cuda.h"

static void test_a_launch_uses_the_values_at_the_call(void **state) {
  (void)state;
  struct empty_batch b;
  CUstream stream = NULL;
  make_empty_batch(&b);
  const CUfunction function = load_function();
  assert_int_equal(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  for (int i = 0; i < 16; ++i) {
    dirty_sums(&b);
    assert_int_equal(launch_empty_batch(function, stream, &b), CUDA_SUCCESS);
    b.general.phase.backend_pointers = NULL; /* too late to matter */
    assert_int_equal(cuStreamSynchronize(stream), CUDA_SUCCESS);
    b.general.phase.backend_pointers = (const long long *)(uintptr_t)b.memory;
    assert_true(read_sums(&b) == 0);
  }
}

static void test_launches_are_checked(void **state) {
  CUcontext other = NULL;
  CUstream stream = NULL;
  struct empty_batch b;
  make_empty_batch(&b);
  void **p = b.parameters;
  const CUfunction f = load_function();
  assert_int_equal(cuLaunchKernel(f, 0, 1, 1, 32, 1, 1, 0, NULL, p, NULL), 1);
  assert_int_equal(cuLaunchKernel(f, 1, 65536, 1, 32, 1, 1, 0, NULL, p, NULL), 1);
  assert_int_equal(cuLaunchKernel(f, 1, 1, 65536, 32, 1, 1, 0, NULL, p, NULL), 1);
  assert_int_equal(cuLaunchKernel(f, 1, 1, 1, 1025, 1, 1, 0, NULL, p, NULL), 1);
  assert_int_equal(cuLaunchKernel(f, 1, 1, 1, 512, 4, 1, 0, NULL, p, NULL), 1);
  assert_int_equal(cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 1 << 20, NULL, p, NULL), 1);
  assert_int_equal(cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL), 1);
  assert_int_equal(cuCtxCreate_v2(&other, 0, 0), CUDA_SUCCESS);
  assert_int_equal(cuStreamCreate(&stream, CU_STREAM_DEFAULT), CUDA_SUCCESS);
  assert_int_equal(launch_empty_batch(f, stream, &b), CUDA_ERROR_INVALID_HANDLE);
  assert_int_equal(cuCtxPopCurrent_v2(NULL), CUDA_SUCCESS);
  assert_int_equal(launch_empty_batch(f, stream, &b), CUDA_ERROR_INVALID_HANDLE);
  assert_int_equal(cuCtxDestroy_v2(other), CUDA_SUCCESS);
  assert_int_equal(launch_empty_batch(f, stream, &b), CUDA_ERROR_INVALID_HANDLE);
  assert_int_equal(cuCtxSetCurrent(*state), CUDA_SUCCESS);
  assert_int_equal(launch_empty_batch((CUfunction)(void *)&b, NULL, &b), CUDA_ERROR_INVALID_HANDLE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      DRIVER_TEST(test_a_launch_uses_the_values_at_the_call),
      DRIVER_TEST(test_launches_are_checked),
  };
  return cmocka_run_group_tests_name("fake driver: launch", tests, NULL, NULL);
}
