/*
 * test_fake_nvrtc.c: the fake NVRTC behaves like NVRTC in all that the library relies on, and does
 * what its environment asks for. FAKE_NVRTC is its path.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmocka_headers.h"
#include "core/allocator.h"
#include "image/cubin.h"
#include "nvrtc/nvrtc.h"
#include "temporary_folder.h"

static const char source[] =
    "int x;\n"
    "extern \"C\" __global__ void __launch_bounds__(kThreads)\n"
    "    first_kernel(int a) {}\n"
    "extern \"C\" __global__ void second_kernel(int a) {}\n";

static const char *const variables[] = {"UDM_FAKE_NVRTC_VERSION", "UDM_FAKE_NVRTC_ARCHS",
                                        "UDM_FAKE_NVRTC_LOG", "UDM_FAKE_NVRTC_FAIL"};

static int clear_environment(void **state) {
  for (size_t i = 0; i < sizeof variables / sizeof variables[0]; ++i) unsetenv(variables[i]);
  return make_temporary_folder(state);
}

static void open_nvrtc(struct nvrtc *nvrtc) {
  struct settings settings;
  memset(&settings, 0, sizeof settings);
  settings.nvrtc_library = getenv("FAKE_NVRTC");
  assert_non_null(settings.nvrtc_library);
  if (udm_nvrtc_open(&settings, nvrtc, udm_thread_error()) != UDM_OK)
    fail_msg("%s", udm_last_error());
}

static udm_status compile(const struct nvrtc *nvrtc, const char *text, const char *target,
                          unsigned char **cubin, size_t *size) {
  char option[64];
  const char *const options[] = {option};
  snprintf(option, sizeof option, "--gpu-architecture=%s", target);
  static const struct settings settings;
  struct nvrtc_job job = {&settings, text, "source.cu", 1, options, strncmp(target, "sm_", 3) != 0,
                          false};
  return udm_nvrtc_compile(nvrtc, &job, cubin, size, udm_thread_error());
}

static void test_the_environment_sets_version_and_architectures(void **state) {
  (void)state;
  static struct nvrtc nvrtc;
  setenv("UDM_FAKE_NVRTC_VERSION", "12.9", 1);
  setenv("UDM_FAKE_NVRTC_ARCHS", "90,75", 1);
  open_nvrtc(&nvrtc);
  assert_int_equal(nvrtc.version_major, 12);
  assert_int_equal(nvrtc.version_minor, 9);
  assert_int_equal(nvrtc.arch_count, 2);
  assert_int_equal(nvrtc.archs[0], 75);
  assert_int_equal(nvrtc.archs[1], 90);
  udm_nvrtc_close(&nvrtc);
}

static void test_cubins_fit_their_target_and_never_differ(void **state) {
  (void)state;
  static struct nvrtc nvrtc;
  static const char *const versions[] = {"11.8", "12.9", "13.0"};
  unsigned char *cubin[2] = {NULL, NULL};
  size_t size[2] = {0, 0};
  for (int v = 0; v < 3; ++v) {
    setenv("UDM_FAKE_NVRTC_VERSION", versions[v], 1);
    open_nvrtc(&nvrtc);
    for (int i = 0; i < 2; ++i) {
      assert_int_equal(compile(&nvrtc, source, "sm_90", &cubin[i], &size[i]), UDM_OK);
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(cubin[0], cubin[1], size[0]);
    assert_int_equal(udm_cubin_arch(cubin[0], size[0]), 90);
    assert_non_null(memmem(cubin[0], size[0], "first_kernel", 13));
    assert_non_null(memmem(cubin[0], size[0], "second_kernel", 14));
    udm_free(cubin[1]);
    assert_int_equal(compile(&nvrtc, "int y;\n", "sm_90", &cubin[1], &size[1]), UDM_OK);
    assert_memory_not_equal(cubin[0], cubin[1], size[0]); /* another source */
    udm_free(cubin[0]);
    udm_free(cubin[1]);
    udm_nvrtc_close(&nvrtc);
  }
}

static void test_a_failed_compile_explains_itself(void **state) {
  (void)state;
  static struct nvrtc nvrtc;
  unsigned char *cubin = NULL;
  size_t size = 0;
  open_nvrtc(&nvrtc);
  assert_int_equal(compile(&nvrtc, source, "sm_66", &cubin, &size), UDM_ERROR_COMPILE);
  assert_non_null(strstr(udm_last_error(), "sm_66"));
  assert_int_equal(compile(&nvrtc, "int x;\n#error no\n", "sm_90", &cubin, &size),
                   UDM_ERROR_COMPILE);
  assert_non_null(strstr(udm_last_error(), "source.cu(1): error"));
  assert_null(cubin);
  udm_nvrtc_close(&nvrtc);
}

static void test_ptx_has_version_and_target(void **state) {
  (void)state;
  static struct nvrtc nvrtc;
  unsigned char *ptx = NULL;
  size_t size = 0;
  setenv("UDM_FAKE_NVRTC_VERSION", "11.8", 1);
  setenv("UDM_FAKE_NVRTC_ARCHS", "70", 1);
  open_nvrtc(&nvrtc);
  assert_int_equal(compile(&nvrtc, source, "compute_70", &ptx, &size), UDM_OK);
  assert_int_equal(ptx[size - 1], 0);
  assert_non_null(strstr((const char *)ptx, "\n.version 7.8\n.target sm_70\n"));
  assert_non_null(strstr((const char *)ptx, ".entry second_kernel("));
  udm_free(ptx);
  udm_nvrtc_close(&nvrtc);
}

static void test_faults_happen_always_or_once(void **state) {
  (void)state;
  static struct nvrtc nvrtc;
  unsigned char *cubin = NULL;
  size_t size = 0;
  open_nvrtc(&nvrtc);
  setenv("UDM_FAKE_NVRTC_FAIL", "nvrtcCompileProgram:6", 1);
  for (int i = 0; i < 2; ++i) {
    assert_int_equal(compile(&nvrtc, source, "sm_90", &cubin, &size), UDM_ERROR_COMPILE);
  }
  setenv("UDM_FAKE_NVRTC_FAIL", "nvrtcVersion:1,nvrtcGetCUBIN:1", 1);
  assert_int_equal(compile(&nvrtc, source, "sm_90", &cubin, &size), UDM_ERROR_OUT_OF_MEMORY);
  assert_non_null(strstr(udm_last_error(), "nvrtcGetCUBIN: NVRTC_ERROR_OUT_OF_MEMORY"));
  unsetenv("UDM_FAKE_NVRTC_FAIL");
  assert_int_equal(compile(&nvrtc, source, "sm_90", &cubin, &size), UDM_OK);
  udm_free(cubin);
  udm_nvrtc_close(&nvrtc);
}

/* The number of whole lines in the log. */
static int count_compiles(const char *path) {
  char line[128];
  char target[64];
  int count = 0;
  long pid = 0;
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  while (fgets(line, sizeof line, file)) {
    if (sscanf(line, "compile %63s %ld", target, &pid) == 2 && !strcmp(target, "sm_80")) ++count;
  }
  fclose(file);
  return count;
}

static void test_compiles_are_counted_across_processes(void **state) {
  enum { PROCESSES = 4, COMPILES = 25 };
  static struct nvrtc nvrtc;
  const char *log = path_in(*state, "log");
  setenv("UDM_FAKE_NVRTC_LOG", log, 1);
  open_nvrtc(&nvrtc);
  for (int p = 0; p < PROCESSES; ++p) {
    if (fork() == 0) {
      unsigned char *cubin = NULL;
      size_t size = 0;
      for (int i = 0; i < COMPILES; ++i) {
        if (compile(&nvrtc, source, "sm_80", &cubin, &size) != UDM_OK) _exit(1);
        udm_free(cubin);
      }
      _exit(0);
    }
  }
  for (int p = 0; p < PROCESSES; ++p) {
    int status = 1;
    assert_true(wait(&status) > 0);
    assert_int_equal(status, 0);
  }
  assert_int_equal(count_compiles(log), PROCESSES * COMPILES);
  udm_nvrtc_close(&nvrtc);
}

static int stop_at_third(void *user_data, void *reserved) {
  int *calls = user_data;
  assert_null(reserved);
  return ++*calls >= 3;
}

static void test_a_flow_callback_ends_a_compile(void **state) {
  (void)state;
  static struct nvrtc nvrtc;
  nvrtcProgram program = NULL;
  int calls = 0;
  setenv("UDM_FAKE_NVRTC_DELAY_MS", "3600000", 1);
  open_nvrtc(&nvrtc);
  assert_int_equal(nvrtc.nvrtcCreateProgram(&program, source, "x", 0, NULL, NULL), NVRTC_SUCCESS);
  assert_int_equal(nvrtc.nvrtcSetFlowCallback(program, stop_at_third, &calls), NVRTC_SUCCESS);
  assert_int_equal(nvrtc.nvrtcCompileProgram(program, 0, NULL), NVRTC_ERROR_CANCELLED);
  assert_int_equal(calls, 3);
  nvrtc.nvrtcDestroyProgram(&program);
  udm_nvrtc_close(&nvrtc);
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, clear_environment, remove_temporary_folder)
  const struct CMUnitTest tests[] = {
      TEST(test_the_environment_sets_version_and_architectures),
      TEST(test_cubins_fit_their_target_and_never_differ),
      TEST(test_a_failed_compile_explains_itself),
      TEST(test_ptx_has_version_and_target),
      TEST(test_faults_happen_always_or_once),
      TEST(test_compiles_are_counted_across_processes),
      TEST(test_a_flow_callback_ends_a_compile),
  };
  return cmocka_run_group_tests_name("fake NVRTC", tests, NULL, NULL);
}
