/*
 * The fake driver behaves as the driver does where the library, the tools
 * and the tests rely on it. Runs with UDM_FAKE_CUDA_DEVICES="9.0,8.6".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the headers above */
#include <cmocka.h>

#include "driver_functions.h"
#include "empty_batch.h"
#include "fake_cuda.h"
#include "test_graph_calls.h"
#include "test_image_calls.h"

static int use_first_device(void **state) {
  CUcontext context = NULL;
  *state = NULL;
  if (cuInit(0) != CUDA_SUCCESS || cuCtxCreate_v2(&context, 0, 0) != CUDA_SUCCESS) return -1;
  *state = context;
  return 0;
}

static int destroy_context(void **state) {
  unsetenv("UDM_FAKE_CUDA_FAIL");
  return cuCtxDestroy_v2(*state) == CUDA_SUCCESS ? 0 : -1;
}

static void devices_come_from_the_environment(void **state) {
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

static void contexts_are_a_stack_per_thread(void **state) {
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

static void primary_contexts_are_counted(void **state) {
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

static void images_must_suit_the_device(void **state) {
  (void)state;
  CUmodule module = NULL;
  CUfunction function = NULL;
  static const char text[64] = "no image";
  assert_int_equal(load_tiny_cubin(&module, 8, 86), CUDA_ERROR_NO_BINARY_FOR_GPU);
  assert_int_equal(load_tiny_cubin(&module, 7, 80), CUDA_ERROR_NO_BINARY_FOR_GPU);
  assert_int_equal(load_tiny_cubin(&module, 8, 103), CUDA_ERROR_NO_BINARY_FOR_GPU);
  assert_int_equal(cuModuleLoadDataEx(&module, text, 0, NULL, NULL), CUDA_ERROR_INVALID_IMAGE);
  for (int abi_version = 7; abi_version <= 8; ++abi_version) {
    assert_int_equal(load_tiny_cubin(&module, abi_version, 90), CUDA_SUCCESS);
    assert_int_equal(cuModuleGetFunction(&function, module, general_kernel), CUDA_SUCCESS);
    /* a host kernel that this image does not have */
    assert_int_equal(cuModuleGetFunction(&function, module, "udm_decode_metadata_direct"),
                     CUDA_ERROR_NOT_FOUND);
    assert_int_equal(cuModuleUnload(module), CUDA_SUCCESS);
    assert_int_equal(cuModuleUnload(module), CUDA_ERROR_INVALID_HANDLE);
  }
  CUcontext other = NULL;
  assert_int_equal(cuCtxCreate_v2(&other, 0, 1), CUDA_SUCCESS);
  assert_int_equal(load_tiny_cubin(&module, 8, 80), CUDA_SUCCESS);
  assert_int_equal(load_tiny_cubin(&module, 8, 86), CUDA_SUCCESS);
  assert_int_equal(load_tiny_cubin(&module, 8, 89), CUDA_ERROR_NO_BINARY_FOR_GPU);
  assert_int_equal(cuCtxDestroy_v2(other), CUDA_SUCCESS);
}

static void memory_is_checked(void **state) {
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

/* Between a call and the synchronisation the work may or may not be done. */
static void streams_run_some_time_before_synchronisation(void **state) {
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

static void a_launch_runs_the_kernel_with_the_values_of_the_call(void **state) {
  (void)state;
  struct empty_batch b;
  CUstream stream = NULL;
  make_empty_batch(&b);
  const CUfunction function = load_function();
  assert_int_equal(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  for (int i = 0; i < 16; ++i) {
    dirty_sums(&b);
    assert_int_equal(launch_empty_batch(function, stream, &b), CUDA_SUCCESS);
    b.pointers = 0; /* too late to matter */
    assert_int_equal(cuStreamSynchronize(stream), CUDA_SUCCESS);
    b.pointers = b.memory;
    assert_true(read_sums(&b) == 0);
  }
}

static void launches_are_checked(void **state) {
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

static void events_measure_and_are_checked(void **state) {
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

static void faults_and_counts(void **state) {
  (void)state;
  CUdeviceptr memory = 0;
  const char *name = NULL;
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
  assert_int_equal(cuGetErrorName(CUDA_ERROR_NO_BINARY_FOR_GPU, &name), CUDA_SUCCESS);
  assert_string_equal(name, "CUDA_ERROR_NO_BINARY_FOR_GPU");
  assert_int_equal(cuGetErrorName((CUresult)123456, &name), CUDA_ERROR_INVALID_VALUE);
  assert_null(name);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, use_first_device, destroy_context)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(devices_come_from_the_environment),
      TEST(contexts_are_a_stack_per_thread),
      TEST(primary_contexts_are_counted),
      TEST(images_must_suit_the_device),
      TEST(memory_is_checked),
      TEST(streams_run_some_time_before_synchronisation),
      TEST(a_launch_runs_the_kernel_with_the_values_of_the_call),
      TEST(launches_are_checked),
      TEST(a_graph_replays_over_what_memory_holds_then),
      TEST(a_node_changes_its_function_as_the_driver_allows),
      TEST(what_is_illegal_in_capture_invalidates_it),
      TEST(events_measure_and_are_checked),
      TEST(faults_and_counts),
      TEST(libraries_become_modules_of_each_context),
      TEST(links_assemble_ptx),
      TEST(an_old_driver_refuses_what_is_newer),
      TEST(functions_are_found_by_name_and_version),
      TEST(a_relaxed_thread_disturbs_no_capture),
  };
  return cmocka_run_group_tests_name("fake driver", tests, NULL, NULL);
}
