/*
 * test_nvrtc_compile_every_arch.c: a real NVRTC compiles the kernel for every architecture that
 * both support: each cubin's ELF header and each PTX names it. Nothing else in the process
 * changes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <elf.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmocka_headers.h"
#include "core/allocator.h"
#include "image/cubin.h"
#include "image/image_resolve.h"
#include "image/kernel_compile.h"
#include "temporary_folder.h"
#include "udm.h"

static udm_nvrtc_info nvrtc;
static udm_options options = UDM_OPTIONS_INIT;

/* The first architecture that the kernel supports. */
static int32_t lowest_arch(void) {
  for (int i = 0; i < nvrtc.arch_count; ++i) {
    if (nvrtc.archs[i] >= UDM_LOWEST_ARCH) return nvrtc.archs[i];
  }
  fail_msg("NVRTC knows nothing from sm_%d up", UDM_LOWEST_ARCH);
  return 0;
}

static udm_image_plan plan_for(const udm_options *with, int32_t arch) {
  udm_image_plan plan;
  memset(&plan, 0, sizeof plan);
  plan.struct_size = sizeof plan;
  if (udm_plan_image(with, arch, &plan) != UDM_OK) fail_msg("%s", udm_last_error());
  return plan;
}

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
  assert_has_kernel(bytes, size, "udm_decode_metadata_general");
  free(bytes);
}

static void test_every_arch(void **state) {
  int compiled = 0;
  options.cache_dir = *state;
  for (int i = 0; i < nvrtc.arch_count; ++i) {
    udm_prewarm_result result = {sizeof result, -1, -1, 0, ""};
    const int32_t arch = nvrtc.archs[i];
    const udm_status status = udm_prewarm(&options, arch, 0, &result);
    if (arch < UDM_LOWEST_ARCH) {
      assert_int_equal(status, UDM_ERROR_UNSUPPORTED_ARCH);
      assert_non_null(strstr(udm_last_error(), "sm_70 or later"));
      continue;
    }
    if (status != UDM_OK) fail_msg("sm_%d: %s", (int)arch, udm_last_error());
    assert_int_equal(result.compiled, 1);
    check_entry(result.path, arch);
    ++compiled;
  }
  assert_true(compiled > 0);
  assert_int_equal(plan_for(&options, lowest_arch()).source, UDM_IMAGE_CACHE);
}

/* CUDA 11.8 makes PTX 7.8, 12.9 PTX 8.8, 13.0 PTX 9.0. PTX and cubin name the same kernels. */
static void check_ptx(const char *ptx, int32_t arch) {
  int major = 0;
  int minor = 0;
  int target = 0;
  const char *version = strstr(ptx, "\n.version ");
  assert_non_null(version);
  assert_int_equal(sscanf(version, "\n.version %d.%d\n.target sm_%d\n", &major, &minor, &target),
                   3);
  assert_int_equal(target, arch);
  assert_int_equal(major, nvrtc.version_major - 4);
  assert_in_range(minor, nvrtc.version_minor - (nvrtc.version_minor > 0), nvrtc.version_minor);
  assert_non_null(strstr(ptx, ".visible .entry udm_decode_metadata_direct("));
  assert_non_null(strstr(ptx, ".visible .entry udm_decode_metadata_general("));
}

static void test_ptx_for_every_arch(void **state) {
  static struct nvrtc library;
  struct settings settings;
  options.cache_dir = *state;
  assert_int_equal(udm_settings_resolve(&options, &settings, udm_thread_error()), UDM_OK);
  assert_int_equal(udm_nvrtc_open(&settings, &library, udm_thread_error()), UDM_OK);
  for (int i = 0; i < nvrtc.arch_count; ++i) {
    unsigned char *ptx = NULL;
    size_t size = 0;
    if (nvrtc.archs[i] < UDM_LOWEST_ARCH) continue;
    if (udm_kernel_compile_ptx(&settings, &library, nvrtc.archs[i], &ptx, &size,
                               udm_thread_error()) != UDM_OK) {
      fail_msg("compute_%d: %s", (int)nvrtc.archs[i], udm_last_error());
    }
    assert_int_equal(ptx[size - 1], '\0');
    check_ptx((const char *)ptx, nvrtc.archs[i]);
    udm_free(ptx);
  }
  udm_nvrtc_close(&library);
}

static void test_the_locale_stays(void **state) {
  options.cache_dir = *state;
  const locale_t of_thread = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
  if (!of_thread || !setlocale(LC_ALL, "C.UTF-8")) {
    print_message("skipped: this machine has no locale C.UTF-8\n");
    skip();
  }
  uselocale(of_thread);
  const udm_status status = udm_prewarm(&options, lowest_arch(), 0, NULL);
  assert_ptr_equal(uselocale(LC_GLOBAL_LOCALE), of_thread);
  assert_string_equal(setlocale(LC_ALL, NULL), "C.UTF-8");
  setlocale(LC_ALL, "C");
  freelocale(of_thread);
  assert_int_equal(status, UDM_OK);
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
  const udm_image_plan plan = plan_for(&options, 9990);
  assert_int_equal(plan.source, UDM_IMAGE_NVRTC_PTX);
  assert_non_null(strstr(plan.skipped, "knows no architecture that runs on sm_9990"));
}

static void test_no_compile_never_compiles(void **state) {
  udm_options forbidden = UDM_OPTIONS_INIT;
  udm_image_plan plan = {.struct_size = sizeof plan};
  const int32_t arch = lowest_arch();
  options.cache_dir = *state;
  forbidden.cache_dir = *state;
  forbidden.flags = UDM_OPTION_CACHED_ONLY;
  assert_int_equal(udm_plan_image(&forbidden, arch, &plan), UDM_ERROR_NO_IMAGE);
  forbidden.flags = UDM_OPTION_NO_COMPILE;
  assert_int_equal(plan_for(&forbidden, arch).source, UDM_IMAGE_SHIPPED_PTX);
  assert_int_equal(udm_prewarm(&forbidden, arch, 0, NULL), UDM_ERROR_INVALID_ARGUMENT);
  assert_int_equal(udm_prewarm(&options, arch, 0, NULL), UDM_OK);
  assert_int_equal(plan_for(&forbidden, arch).source, UDM_IMAGE_CACHE);
}

static void test_an_unwritable_cache_is_an_error_of_prewarm(void **state) {
  write_file(path_in(*state, "file"), "x", 1);
  options.cache_dir = path_in(*state, "file/cache");
  assert_int_equal(udm_prewarm(&options, lowest_arch(), 0, NULL), UDM_ERROR_CACHE);
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
      IN_FOLDER(test_ptx_for_every_arch),
      IN_FOLDER(test_the_locale_stays),
      IN_FOLDER(test_prewarm_again_compiles_nothing),
      IN_FOLDER(test_an_arch_nobody_knows),
      IN_FOLDER(test_no_compile_never_compiles),
      IN_FOLDER(test_an_unwritable_cache_is_an_error_of_prewarm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
