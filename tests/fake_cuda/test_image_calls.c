/*
 * The fake driver's ways to load an image, tested.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "test_image_calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the headers above */
#include <cmocka.h>

#include "driver_functions.h"
#include "fake_cuda.h"
#include "tiny_cubin.h"

static const char kernel_name[] = "udm_decode_metadata_general";

static CUresult load_library(CUlibrary *library, int abi_version, int arch) {
  const char *const kernels[TINY_CUBIN_KERNELS] = {kernel_name};
  const struct tiny_cubin cubin = tiny_cubin_make(abi_version, arch, kernels, "a test");
  return cuLibraryLoadData(library, &cubin, NULL, NULL, 0, NULL, NULL, 0);
}

void libraries_become_modules_of_each_context(void **state) {
  CUlibrary library = NULL;
  CUkernel kernel = NULL;
  CUfunction functions[2] = {NULL, NULL};
  CUcontext other = NULL;
  assert_int_equal(load_library(&library, 8, 90), CUDA_SUCCESS);
  assert_int_equal(cuLibraryGetKernel(&kernel, library, "no_such"), CUDA_ERROR_NOT_FOUND);
  assert_int_equal(cuLibraryGetKernel(&kernel, library, kernel_name), CUDA_SUCCESS);
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

void links_assemble_ptx(void **state) {
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
  assert_int_equal(cuModuleGetFunction(&function, module, kernel_name), CUDA_SUCCESS);
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

void an_old_driver_refuses_what_is_newer(void **state) {
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

void functions_are_found_by_name_and_version(void **state) {
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

void a_relaxed_thread_disturbs_no_capture(void **state) {
  (void)state;
  CUstream stream = NULL;
  CUgraph graph = NULL;
  CUlibrary library = NULL;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  assert_int_equal(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  assert_int_equal(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  assert_int_equal(cuThreadExchangeStreamCaptureMode(&mode), CUDA_SUCCESS);
  assert_int_equal(mode, CU_STREAM_CAPTURE_MODE_GLOBAL);
  assert_int_equal(load_library(&library, 8, 90), CUDA_SUCCESS);
  assert_int_equal(cuLibraryUnload(library), CUDA_SUCCESS);
  assert_int_equal(cuThreadExchangeStreamCaptureMode(&mode), CUDA_SUCCESS);
  assert_int_equal(mode, CU_STREAM_CAPTURE_MODE_RELAXED);
  assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
  assert_int_equal(cuGraphDestroy(graph), CUDA_SUCCESS);
  assert_int_equal(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  assert_int_equal(load_library(&library, 8, 90), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  assert_int_equal(cuStreamDestroy_v2(stream), CUDA_SUCCESS);
}
