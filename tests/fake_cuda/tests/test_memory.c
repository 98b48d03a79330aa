/*
 * test_memory.c: the fake driver behaves like the driver: allocations and copies are checked as a
 * driver checks them. Runs with UDM_FAKE_CUDA_DEVICES="9.0,8.6".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver_fixture.h"
#include "fake_cuda.h"

static void test_memory_ranges_are_checked(void **state) {
  (void)state;
  CUdeviceptr memory = 0;
  unsigned char bytes[64] = {0};
  assert_int_equal(cuMemAlloc_v2(&memory, 0), CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(cuMemAlloc_v2(&memory, (size_t)1 << 60), CUDA_ERROR_OUT_OF_MEMORY);
  assert_int_equal(cuMemAlloc_v2(&memory, sizeof bytes), CUDA_SUCCESS);
  assert_int_equal(memory % 256, 0);
  assert_int_equal(cuMemcpyHtoD_v2(memory + 1, bytes, sizeof bytes), CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(cuMemcpyHtoD_v2(memory - 1, bytes, 1), CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(cuMemcpyDtoH_v2(bytes, memory + 63, 2), CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(cuMemcpyDtoH_v2(bytes, memory, sizeof bytes), CUDA_SUCCESS);
  assert_int_equal(cuMemFree_v2(memory + 4), CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(cuMemFree_v2(memory), CUDA_SUCCESS);
  assert_int_equal(cuMemFree_v2(memory), CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(cuMemcpyDtoH_v2(bytes, memory, 1), CUDA_ERROR_INVALID_VALUE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      DRIVER_TEST(test_memory_ranges_are_checked),
  };
  return cmocka_run_group_tests_name("fake driver: memory", tests, NULL, NULL);
}
