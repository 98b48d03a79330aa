/*
 * test_streams.c: the fake driver behaves like the driver: the order of work on streams, and
 * events. Runs with UDM_FAKE_CUDA_DEVICES="9.0,8.6".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver_fixture.h"
#include "fake_cuda.h"

/* Between a call and the synchronisation the work may or may not be done. */
static void test_streams_run_some_time_before_synchronisation(void **state) {
  (void)state;
  CUstream stream = NULL;
  CUdeviceptr memory = 0;
  void *pinned = NULL;
  int early = 0;
  int late = 0;
  assert_int_equal(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  assert_int_equal(cuMemAlloc_v2(&memory, 4), CUDA_SUCCESS);
  assert_int_equal(cuMemAllocHost_v2(&pinned, 4), CUDA_SUCCESS);
  volatile const uint32_t *seen = pinned;
  for (uint32_t i = 1; i <= 64; ++i) {
    assert_int_equal(cuMemsetD32Async(memory, i, 1, stream), CUDA_SUCCESS);
    assert_int_equal(cuMemcpyDtoHAsync_v2(pinned, memory, 4, stream), CUDA_SUCCESS);
    if (*seen == i) {
      ++early;
    } else {
      ++late;
    }
    assert_int_equal(cuStreamSynchronize(stream), CUDA_SUCCESS);
    assert_int_equal(*seen, i);
  }
  assert_true(early > 0);
  assert_true(late > 0);
  assert_int_equal(cuMemFreeHost(pinned), CUDA_SUCCESS);
  assert_int_equal(cuStreamDestroy_v2(stream), CUDA_SUCCESS);
  assert_int_equal(cuStreamSynchronize(stream), CUDA_ERROR_INVALID_HANDLE);
}

static void test_events_measure_and_are_checked(void **state) {
  (void)state;
  CUevent start = NULL;
  CUevent end = NULL;
  float milliseconds = -1;
  assert_int_equal(cuEventCreate(&start, 0), CUDA_SUCCESS);
  assert_int_equal(cuEventCreate(&end, 0), CUDA_SUCCESS);
  assert_int_equal(cuEventElapsedTime(&milliseconds, start, end), CUDA_ERROR_INVALID_HANDLE);
  assert_int_equal(cuEventRecord(start, NULL), CUDA_SUCCESS);
  assert_int_equal(cuEventRecord(end, NULL), CUDA_SUCCESS);
  assert_int_equal(cuEventSynchronize(end), CUDA_SUCCESS);
  assert_int_equal(cuEventElapsedTime(&milliseconds, start, end), CUDA_SUCCESS);
  assert_true(milliseconds >= 0);
  assert_int_equal(cuEventDestroy_v2(start), CUDA_SUCCESS);
  assert_int_equal(cuEventDestroy_v2(start), CUDA_ERROR_INVALID_HANDLE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      DRIVER_TEST(test_streams_run_some_time_before_synchronisation),
      DRIVER_TEST(test_events_measure_and_are_checked),
  };
  return cmocka_run_group_tests_name("fake driver: streams", tests, NULL, NULL);
}
