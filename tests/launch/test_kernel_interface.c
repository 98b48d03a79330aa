/*
 * test_kernel_interface.c: runtime/kernel_interface.h says what the kernel's
 * source says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "launch/kernel_interface.h"

#include <stdio.h>
#include <string.h>

#include "cmocka_headers.h"

extern const unsigned char udm_kernel_source[];
extern const size_t udm_kernel_source_size;

static void assert_source_says(const char *name, int value) {
  char statement[64];
  snprintf(statement, sizeof statement, "%s = %d", name, value);
  const char *found = strstr((const char *)udm_kernel_source, statement);
  if (!found) {
    fail_msg("the kernel's source has no '%s'", statement);
    return;
  }
  const char next = found[strlen(statement)];
  assert_true(next == ';' || next == ',');
}

static void test_constants(void **state) {
  (void)state;
  assert_source_says("kThreads", UDM_KERNEL_THREADS_PER_BLOCK);
  assert_source_says("kMaxLengthBlocks", UDM_KERNEL_MAX_LENGTH_BLOCKS);
  assert_source_says("kUnit", UDM_KERNEL_TILE);
  assert_source_says("kAnchorShift", UDM_KERNEL_ANCHOR_SHIFT);
  assert_source_says("kSeqLensInt64", UDM_KERNEL_SEQ_LENS_INT64);
  assert_source_says("kReqPoolIndicesInt64", UDM_KERNEL_REQ_POOL_INDICES_INT64);
  assert_source_says("kExtentBatchMax", UDM_KERNEL_EXTENT_BATCH_MAX);
  assert_source_says("kPages", UDM_KERNEL_PAGES);
  assert_source_says("kSlots", UDM_KERNEL_SLOTS);
  assert_source_says("kVectors", UDM_KERNEL_VECTORS);
}

static void test_the_source_is_whole_and_includes_nothing(void **state) {
  (void)state;
  const char *source = (const char *)udm_kernel_source;
  assert_int_equal(strlen(source), udm_kernel_source_size);
#define KERNEL(name) assert_non_null(strstr(source, "udm_decode_metadata_" #name));
  UDM_FOR_EACH_KERNEL(KERNEL)
#undef KERNEL
  assert_null(strstr(source, "#include"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_constants),
      cmocka_unit_test(test_the_source_is_whole_and_includes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
