/*
 * test_every_arch.c: the real NVRTC compiles the kernel for every architecture
 * that it knows, and each cubin's ELF header says so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmocka_headers.h"
#include "cubin.h"
#include "temporary_folder.h"
#include "udm.h"

static udm_nvrtc_info nvrtc;
static udm_options options = UDM_OPTIONS_INIT;

static unsigned char *read_file(const char *path, size_t *size) {
  struct stat status;
  assert_int_equal(stat(path, &status), 0);
  *size = (size_t)status.st_size;
  unsigned char *bytes = malloc(*size);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(fread(bytes, 1, *size, file), *size);
  fclose(file);
  return bytes;
}

/* The name of a function as a section of its own: ".text.<name>". */
static void assert_has_kernel(const unsigned char *bytes, size_t size, const char *name) {
  char section[64];
  snprintf(section, sizeof section, ".text.%s", name);
  if (!memmem(bytes, size, section, strlen(section) + 1)) fail_msg("no %s", section);
}

static void check_entry(const char *path, int32_t arch) {
  size_t size = 0;
  Elf64_Ehdr header;
  unsigned char *bytes = read_file(path, &size);
  assert_true(size > sizeof header);
  memcpy(&header, bytes, sizeof header);
  assert_memory_equal(header.e_ident, ELFMAG, SELFMAG);
  assert_int_equal(header.e_machine, 190 /* EM_CUDA */);
  assert_int_equal(udm_cubin_arch(bytes, size), arch);
  assert_has_kernel(bytes, size, "udm_decode_metadata_direct");
  assert_has_kernel(bytes, size, "udm_decode_metadata_direct8");
  assert_has_kernel(bytes, size, "udm_decode_metadata_table");
  free(bytes);
}

static void test_every_arch(void **state) {
  options.cache_dir = *state;
  assert_true(nvrtc.arch_count > 0);
  for (int i = 0; i < nvrtc.arch_count; ++i) {
    udm_prewarm_result result = {sizeof result, -1, -1, 0, ""};
    const int32_t arch = nvrtc.archs[i];
    if (udm_prewarm(&options, arch, 0, &result) != UDM_OK) {
      fail_msg("sm_%d: %s", (int)arch, udm_last_error());
    }
    assert_int_equal(result.compiled, 1);
    check_entry(result.path, arch);
  }
  udm_image_plan plan = {sizeof plan, UDM_IMAGE_NONE, 0, ""};
  assert_int_equal(udm_plan_image(&options, nvrtc.archs[0], &plan), UDM_OK);
  assert_int_equal(plan.source, UDM_IMAGE_CACHE);
}

static void test_prewarm_again_compiles_nothing(void **state) {
  udm_prewarm_result result = {sizeof result, -1, -1, 0, ""};
  const int32_t arch = nvrtc.archs[nvrtc.arch_count - 1];
  options.cache_dir = *state;
  assert_int_equal(udm_prewarm(&options, arch, 0, &result), UDM_OK);
  assert_int_equal(result.compiled, 1);
  assert_int_equal(udm_prewarm(&options, arch, 0, &result), UDM_OK);
  assert_int_equal(result.compiled, 0);
  assert_int_equal(udm_prewarm(&options, arch, UDM_PREWARM_FORCE, &result), UDM_OK);
  assert_int_equal(result.compiled, 1);
}

static void test_an_arch_nobody_knows(void **state) {
  options.cache_dir = *state;
  assert_int_equal(udm_prewarm(&options, 12345, 0, NULL), UDM_ERROR_UNSUPPORTED_ARCH);
  assert_non_null(strstr(udm_last_error(), "sm_12345"));
  assert_int_equal(udm_prewarm(&options, -1, 0, NULL), UDM_ERROR_UNSUPPORTED_ARCH);
  udm_image_plan plan = {sizeof plan, UDM_IMAGE_NONE, 0, ""};
  assert_int_equal(udm_plan_image(&options, 9990, &plan), UDM_ERROR_NO_IMAGE);
  assert_non_null(strstr(udm_last_error(), "knows no architecture that runs on sm_9990"));
}

static void test_no_compile_never_compiles(void **state) {
  udm_options forbidden = UDM_OPTIONS_INIT;
  udm_image_plan plan = {sizeof plan, UDM_IMAGE_NONE, 0, ""};
  const int32_t arch = nvrtc.archs[0];
  options.cache_dir = *state;
  forbidden.cache_dir = *state;
  forbidden.flags = UDM_OPTION_NO_COMPILE;
  assert_int_equal(udm_plan_image(&forbidden, arch, &plan), UDM_ERROR_NO_IMAGE);
  assert_int_equal(udm_prewarm(&forbidden, arch, 0, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(udm_prewarm(&options, arch, 0, NULL), UDM_OK);
  assert_int_equal(udm_plan_image(&forbidden, arch, &plan), UDM_OK);
  assert_int_equal(plan.source, UDM_IMAGE_CACHE);
}

static void test_an_unwritable_cache_is_an_error_of_prewarm(void **state) {
  write_file(path_in(*state, "file"), "x", 1);
  options.cache_dir = path_in(*state, "file/cache");
  assert_int_equal(udm_prewarm(&options, nvrtc.archs[0], 0, NULL), UDM_ERROR_CACHE);
  assert_non_null(strstr(udm_last_error(), "file/cache"));
}

int main(void) {
  nvrtc.struct_size = sizeof nvrtc;
  if (udm_query_nvrtc(NULL, &nvrtc) != UDM_OK) {
    printf("skipped: %s\n", udm_last_error());
    return 77;
  }
  printf("NVRTC %d.%d, %d architectures: %s\n", (int)nvrtc.version_major, (int)nvrtc.version_minor,
         (int)nvrtc.arch_count, nvrtc.path);
#define IN_FOLDER(test) \
  cmocka_unit_test_setup_teardown(test, make_temporary_folder, remove_temporary_folder)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(test_every_arch),
      IN_FOLDER(test_prewarm_again_compiles_nothing),
      IN_FOLDER(test_an_arch_nobody_knows),
      IN_FOLDER(test_no_compile_never_compiles),
      IN_FOLDER(test_an_unwritable_cache_is_an_error_of_prewarm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
