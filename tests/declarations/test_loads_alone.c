/*
 * test_loads_alone.c: the shared library loads and answers, and reports a clear error, on a
 * machine without the CUDA driver and NVRTC: loading it opens neither of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "udm.h"

static const char *library_path;
static void *library;

static void *symbol(const char *name) {
  void *address = dlsym(library, name);
  if (!address) fail_msg("%s: %s", name, dlerror());
  return address;
}

/* ISO C has no cast from an object pointer to a function pointer: copy the bits. */
#define GET_FUNCTION(pointer, name)                \
  do {                                             \
    void *address_ = symbol(name);                 \
    memcpy(&(pointer), &address_, sizeof(void *)); \
  } while (0)

static int count_cuda_libraries(struct dl_phdr_info *info, size_t size, void *count) {
  (void)size;
  if (strstr(info->dlpi_name, "libcuda") || strstr(info->dlpi_name, "libnvrtc")) {
    print_message("loaded: %s\n", info->dlpi_name);
    ++*(int *)count;
  }
  return 0;
}

static void test_loading_opens_no_cuda(void **state) {
  (void)state;
  library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
  if (!library) fail_msg("%s", dlerror());
  int count = 0;
  dl_iterate_phdr(count_cuda_libraries, &count);
  assert_int_equal(count, 0);
}

static void test_version_is_the_headers(void **state) {
  (void)state;
  int32_t (*version)(void);
  GET_FUNCTION(version, "udm_version");
  assert_int_equal(version(),
                   UDM_VERSION_MAJOR * 10000 + UDM_VERSION_MINOR * 100 + UDM_VERSION_PATCH);
}

static void test_create_without_driver(void **state) {
  (void)state;
  udm_status (*create)(const udm_options *, udm_context **);
  const char *(*last_error)(void);
  GET_FUNCTION(create, "udm_create");
  GET_FUNCTION(last_error, "udm_last_error");

  udm_options options = UDM_OPTIONS_INIT;
  options.driver_library = "/nonexistent/libcuda.so.1";
  int anything = 0;
  udm_context *context = (udm_context *)(void *)&anything;
  assert_int_equal(create(&options, &context), UDM_ERROR_NO_DRIVER);
  assert_null(context);
  assert_non_null(strstr(last_error(), "/nonexistent/libcuda.so.1"));
}

static void test_query_nvrtc_without_nvrtc(void **state) {
  (void)state;
  udm_status (*query)(const udm_options *, udm_nvrtc_info *);
  const char *(*last_error)(void);
  GET_FUNCTION(query, "udm_query_nvrtc");
  GET_FUNCTION(last_error, "udm_last_error");

  udm_options options = UDM_OPTIONS_INIT;
  options.nvrtc_library = "/nonexistent/libnvrtc.so";
  udm_nvrtc_info info;
  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  assert_int_equal(query(&options, &info), UDM_ERROR_NO_NVRTC);
  assert_non_null(strstr(last_error(), "/nonexistent/libnvrtc.so"));
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_loading_opens_no_cuda),
      cmocka_unit_test(test_version_is_the_headers),
      cmocka_unit_test(test_create_without_driver),
      cmocka_unit_test(test_query_nvrtc_without_nvrtc),
  };
  if (argc != 2) {
    fprintf(stderr, "usage: %s LIBUDM\n", argv[0]);
    return 2;
  }
  library_path = argv[1];
  return cmocka_run_group_tests(tests, NULL, NULL);
}
