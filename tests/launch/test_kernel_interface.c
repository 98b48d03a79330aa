/*
 * test_kernel_interface.c: the embedded source is nvrtc_src/kernel_params.h, then the kernel,
 * whole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "cmocka_headers.h"

extern const unsigned char udm_kernel_source[];
extern const size_t udm_kernel_source_size;

static void test_the_source_is_whole_and_includes_nothing(void **state) {
  (void)state;
  const char *source = (const char *)udm_kernel_source;
  const char *header = strstr(source, "#define UDM_KERNEL_PARAMS_H");
  assert_int_equal(strlen(source), udm_kernel_source_size);
  assert_non_null(header);
  assert_non_null(strstr(header, "udm_decode_metadata_direct("));
  assert_non_null(strstr(header, "udm_decode_metadata_general("));
  assert_null(strstr(source, "#include"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_source_is_whole_and_includes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
