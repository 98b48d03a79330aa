/*
 * test_modules.c: the fake driver behaves like the driver: modules and libraries, and the assembler
 * of PTX. Runs with UDM_FAKE_CUDA_DEVICES="9.0,8.6".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "driver_fixture.h"
#include "fake_cuda.h"

static CUresult assemble(const char *ptx, const void **cubin, CUlinkState *link, char *text,
                         size_t size) {
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {text, (void *)(uintptr_t)size};
  void *made = NULL;
  void *data = (void *)(uintptr_t)ptx;
  size_t made_size = 0;
  assert_int_equal(cuLinkCreate_v2(2, options, values, link), CUDA_SUCCESS);
  CUresult result =
      cuLinkAddData_v2(*link, CU_JIT_INPUT_PTX, data, strlen(ptx) + 1, "a test", 0, NULL, NULL);
  if (result == CUDA_SUCCESS) result = cuLinkComplete(*link, &made, &made_size);
  *cubin = made;
  return result;
}

static void test_modules_must_suit_the_device(void **state) {
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

static void test_a_library_becomes_a_module_of_each_context(void **state) {
  CUlibrary library = NULL;
  CUkernel kernel = NULL;
  CUfunction functions[2] = {NULL, NULL};
  CUcontext other = NULL;
  assert_int_equal(load_library(&library, 8, 90), CUDA_SUCCESS);
  assert_int_equal(cuLibraryGetKernel(&kernel, library, "no_such"), CUDA_ERROR_NOT_FOUND);
  assert_int_equal(cuLibraryGetKernel(&kernel, library, general_kernel), CUDA_SUCCESS);
  assert_int_equal(cuKernelGetFunction(&functions[0], kernel), CUDA_SUCCESS);
  assert_int_equal(cuCtxCreate_v2(&other, 0, 0), CUDA_SUCCESS);
  assert_int_equal(cuKernelGetFunction(&functions[1], kernel), CUDA_SUCCESS);
  assert_ptr_not_equal(functions[0], functions[1]);
  assert_int_equal(cuCtxDestroy_v2(other), CUDA_SUCCESS);
  assert_int_equal(cuCtxCreate_v2(&other, 0, 1), CUDA_SUCCESS); /* an 8.6 */
  assert_int_equal(cuKernelGetFunction(&functions[1], kernel), CUDA_ERROR_NO_BINARY_FOR_GPU);
  assert_int_equal(cuCtxDestroy_v2(other), CUDA_SUCCESS);
  assert_int_equal(cuCtxSetCurrent(NULL), CUDA_SUCCESS); /* it needs no context */
  assert_int_equal(cuLibraryUnload(library), CUDA_SUCCESS);
  assert_int_equal(cuLibraryUnload(library), CUDA_ERROR_INVALID_HANDLE);
  assert_int_equal(fake_cuda_live_code(), 0);
  assert_int_equal(cuCtxSetCurrent(*state), CUDA_SUCCESS);
}

static void test_links_assemble_ptx(void **state) {
  (void)state;
  CUlinkState link = NULL;
  CUmodule module = NULL;
  CUfunction function = NULL;
  const void *cubin = NULL;
  char text[256] = "";
  static const char good[] =
      "// PTX\n.version 7.8\n.target sm_70\n.visible .entry udm_decode_metadata_general(\n)\n";
  assert_int_equal(assemble(good, &cubin, &link, text, sizeof text), CUDA_SUCCESS);
  assert_int_equal(cuModuleLoadDataEx(&module, cubin, 0, NULL, NULL), CUDA_SUCCESS);
  assert_int_equal(cuLinkDestroy(link), CUDA_SUCCESS);
  assert_int_equal(cuLinkDestroy(link), CUDA_ERROR_INVALID_HANDLE);
  assert_int_equal(cuModuleGetFunction(&function, module, general_kernel), CUDA_SUCCESS);
  assert_int_equal(cuModuleUnload(module), CUDA_SUCCESS);
  assert_int_equal(cuModuleLoadDataEx(&module, good, 0, NULL, NULL), CUDA_SUCCESS);
  assert_int_equal(cuModuleUnload(module), CUDA_SUCCESS);
  assert_int_equal(assemble(".version 7.8\n.target sm_100\n", &cubin, &link, text, sizeof text),
                   CUDA_ERROR_INVALID_PTX);
  assert_non_null(strstr(text, "100"));
  assert_int_equal(cuLinkDestroy(link), CUDA_SUCCESS);
  assert_int_equal(assemble("no PTX", &cubin, &link, text, sizeof text), CUDA_ERROR_INVALID_PTX);
  assert_int_equal(cuLinkDestroy(link), CUDA_SUCCESS);
  assert_int_equal(fake_cuda_live_code(), 0);
}

static void test_an_old_driver_rejects_newer_images(void **state) {
  (void)state;
  CUlibrary library = NULL;
  CUlinkState link = NULL;
  const void *cubin = NULL;
  char text[256] = "";
  setenv("UDM_FAKE_CUDA_VERSION", "12040", 1);
  assert_int_equal(load_library(&library, 8, 90), CUDA_ERROR_INVALID_IMAGE);
  assert_int_equal(load_library(&library, 7, 90), CUDA_SUCCESS);
  assert_int_equal(cuLibraryUnload(library), CUDA_SUCCESS);
  assert_int_equal(assemble(".version 9.0\n.target sm_90\n", &cubin, &link, text, sizeof text),
                   CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  assert_non_null(strstr(text, ".version 9.0"));
  assert_int_equal(cuLinkDestroy(link), CUDA_SUCCESS);
  assert_int_equal(assemble(".version 8.4\n.target sm_90\n", &cubin, &link, text, sizeof text),
                   CUDA_SUCCESS);
  assert_int_equal(cuLinkDestroy(link), CUDA_SUCCESS);
  unsetenv("UDM_FAKE_CUDA_VERSION");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      DRIVER_TEST(test_modules_must_suit_the_device),
      DRIVER_TEST(test_a_library_becomes_a_module_of_each_context),
      DRIVER_TEST(test_links_assemble_ptx),
      DRIVER_TEST(test_an_old_driver_rejects_newer_images),
  };
  return cmocka_run_group_tests_name("fake driver: modules", tests, NULL, NULL);
}
