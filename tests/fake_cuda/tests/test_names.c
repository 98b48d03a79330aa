/*
 * test_names.c: the fake driver behaves like the driver: errors and functions by name. Runs with
 * UDM_FAKE_CUDA_DEVICES="9.0,8.6".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "driver_fixture.h"
#include "fake_cuda.h"

static void test_functions_are_found_by_name_and_version(void **state) {
  (void)state;
  void *address = NULL;
  CUresult (*init)(unsigned int) = NULL;
  CUdriverProcAddressQueryResult found = 0;
  assert_int_equal(cuGetProcAddress("cuInit", &address, 2000, 0), CUDA_SUCCESS);
  memcpy(&init, &address, sizeof init);
  assert_int_equal(init(0), CUDA_SUCCESS);
  assert_int_equal(cuGetProcAddress("cuLinkCreate", &address, 5050, 0), CUDA_ERROR_NOT_FOUND);
  assert_null(address);
  assert_int_equal(cuGetProcAddress("cuLinkCreate", &address, 6050, 0), CUDA_SUCCESS);
  assert_non_null(address);
  assert_int_equal(cuGetProcAddress_v2("cuNoSuch", &address, 13000, 0, &found), CUDA_SUCCESS);
  assert_int_equal(found, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
  assert_null(address);
  setenv("UDM_FAKE_CUDA_VERSION", "11080", 1);
  assert_int_equal(cuGetProcAddress_v2("cuLibraryLoadData", &address, 12000, 0, &found), 0);
  assert_int_equal(found, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
  unsetenv("UDM_FAKE_CUDA_VERSION");
  setenv("UDM_FAKE_CUDA_MISSING", "cuLibraryLoadData,cuLinkCreate_v2", 1);
  assert_int_equal(cuGetProcAddress("cuLibraryLoadData", &address, 12000, 0), CUDA_ERROR_NOT_FOUND);
  assert_int_equal(cuGetProcAddress("cuLinkCreate", &address, 6050, 0), CUDA_ERROR_NOT_FOUND);
  assert_int_equal(cuGetProcAddress("cuLibraryUnload", &address, 12000, 0), CUDA_SUCCESS);
  unsetenv("UDM_FAKE_CUDA_MISSING");
}

static void test_errors_have_names(void **state) {
  (void)state;
  const char *name = NULL;
  assert_int_equal(cuGetErrorName(CUDA_ERROR_NO_BINARY_FOR_GPU, &name), CUDA_SUCCESS);
  assert_string_equal(name, "CUDA_ERROR_NO_BINARY_FOR_GPU");
  assert_int_equal(cuGetErrorName((CUresult)123456, &name), CUDA_ERROR_INVALID_VALUE);
  assert_null(name);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      DRIVER_TEST(test_errors_have_names),
      DRIVER_TEST(test_functions_are_found_by_name_and_version),
  };
  return cmocka_run_group_tests_name("fake driver: names", tests, NULL, NULL);
}
