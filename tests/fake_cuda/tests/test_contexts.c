/*
 * test_contexts.c: the fake driver behaves like the driver: devices, contexts and their stacks.
 * Runs with UDM_FAKE_CUDA_DEVICES="9.0,8.6".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver_fixture.h"
#include "fake_cuda.h"

static void test_devices_come_from_the_environment(void **state) {
  (void)state;
  int count = 0;
  int major = 0;
  int minor = 0;
  CUdevice second = 0;
  assert_int_equal(cuDeviceGetCount(&count), CUDA_SUCCESS);
  assert_int_equal(count, 2);
  assert_int_equal(cuDeviceGet(&second, 1), CUDA_SUCCESS);
  assert_int_equal(cuDeviceGetAttribute(&major, 75, second), CUDA_SUCCESS);
  assert_int_equal(cuDeviceGetAttribute(&minor, 76, second), CUDA_SUCCESS);
  assert_int_equal(major * 10 + minor, 86);
  assert_int_equal(cuDeviceGet(&second, 2), CUDA_ERROR_INVALID_DEVICE);
}

static void test_each_thread_has_a_stack_of_contexts(void **state) {
  CUcontext first = *state;
  CUcontext second = NULL;
  CUcontext current = NULL;
  CUdevice device = -1;
  unsigned long long ids[2] = {0, 0};
  unsigned int version = 0;
  assert_int_equal(cuCtxCreate_v2(&second, 0, 1), CUDA_SUCCESS);
  assert_int_equal(cuCtxGetDevice(&device), CUDA_SUCCESS);
  assert_int_equal(device, 1);
  assert_int_equal(cuCtxPopCurrent_v2(&current), CUDA_SUCCESS);
  assert_ptr_equal(current, second);
  assert_int_equal(cuCtxGetCurrent(&current), CUDA_SUCCESS);
  assert_ptr_equal(current, first);
  assert_int_equal(cuCtxPushCurrent_v2(second), CUDA_SUCCESS);
  assert_int_equal(cuCtxGetId(first, &ids[0]), CUDA_SUCCESS);
  assert_int_equal(cuCtxGetId(second, &ids[1]), CUDA_SUCCESS);
  assert_true(ids[0] != ids[1]);
  assert_int_equal(cuCtxGetApiVersion(second, &version), CUDA_SUCCESS);
  assert_int_equal(cuCtxDestroy_v2(second), CUDA_SUCCESS);
  assert_int_equal(cuCtxGetId(second, &ids[1]), CUDA_ERROR_CONTEXT_IS_DESTROYED);
  assert_int_equal(cuCtxGetApiVersion(second, &version), CUDA_ERROR_INVALID_CONTEXT);
  assert_int_equal(cuCtxSetCurrent(NULL), CUDA_SUCCESS);
  assert_int_equal(cuCtxGetDevice(&device), CUDA_ERROR_INVALID_CONTEXT);
  assert_int_equal(cuCtxSetCurrent(first), CUDA_SUCCESS);
}

static void test_primary_contexts_are_counted(void **state) {
  (void)state;
  CUcontext one = NULL;
  CUcontext two = NULL;
  assert_int_equal(cuDevicePrimaryCtxRetain(&one, 1), CUDA_SUCCESS);
  assert_int_equal(cuDevicePrimaryCtxRetain(&two, 1), CUDA_SUCCESS);
  assert_ptr_equal(one, two);
  assert_int_equal(cuDevicePrimaryCtxRelease_v2(1), CUDA_SUCCESS);
  assert_int_equal(cuCtxPushCurrent_v2(one), CUDA_SUCCESS);
  assert_int_equal(cuCtxPopCurrent_v2(NULL), CUDA_SUCCESS);
  assert_int_equal(cuCtxDestroy_v2(one), CUDA_ERROR_INVALID_CONTEXT);
  assert_int_equal(cuDevicePrimaryCtxRelease_v2(1), CUDA_SUCCESS);
  assert_int_equal(cuDevicePrimaryCtxRelease_v2(1), CUDA_ERROR_INVALID_CONTEXT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      DRIVER_TEST(test_devices_come_from_the_environment),
      DRIVER_TEST(test_each_thread_has_a_stack_of_contexts),
      DRIVER_TEST(test_primary_contexts_are_counted),
  };
  return cmocka_run_group_tests_name("fake driver: contexts", tests, NULL, NULL);
}
