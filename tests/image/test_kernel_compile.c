/*
 * test_kernel_compile.c: the process remembers a compile that NVRTC rejected, and
 * stores nothing of it on disk. It remembers no other failure of NVRTC.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_fixture.h"
#include "processes.h"

/* NVRTC rejects the kernel twice: for the architecture, and as PTX. */
enum { OTHER_ARCH = 80, LINE_SIZE = 16384, REFUSALS = 2 };

static struct create_result result;

static void check_one_attempt(void) {
  create_once(&result);
  CHILD_CHECK(result.status == UDM_ERROR_NO_IMAGE);
  CHILD_CHECK(result.counted.compile_failures == REFUSALS);
  CHILD_CHECK(result.counted.remembered_failures == 0);
  CHILD_CHECK(strstr(udm_last_error(), "a fault that a test asked for"));
}

/* A process that does not share this one's memory. */
static void check_that_another_process_tries(void) {
  struct process process;
  char line[LINE_SIZE];
  const char *const arguments[] = {set_variable("CACHE_PROCESS"), "create", NULL};
  process_start(&process, arguments);
  CHILD_CHECK(process_finish(&process, line, sizeof line) == 0);
  CHILD_CHECK(number_in_line(line, "compiles") == 1);
}

static void refuse_once(const char *folder) {
  (void)folder;
  forbid_ptx();
  setenv("UDM_FAKE_NVRTC_FAIL", "nvrtcCompileProgram:6", 1);
  check_one_attempt();
  unsetenv("UDM_FAKE_NVRTC_FAIL"); /* from now on a compile would work */
  for (int i = 0; i < 3; ++i) {
    create_once(&result);
    CHILD_CHECK(result.status == UDM_ERROR_NO_IMAGE);
    CHILD_CHECK(result.counted.compile_failures == 0);
    CHILD_CHECK(result.counted.remembered_failures == REFUSALS);
    CHILD_CHECK(strstr(udm_last_error(), "a fault that a test asked for"));
    CHILD_CHECK(strstr(udm_last_error(), "not tried again"));
  }
  CHILD_CHECK(udm_prewarm(NULL, FIXTURE_ARCH, 0, NULL) == UDM_ERROR_COMPILE);
  CHILD_CHECK(udm_prewarm(NULL, OTHER_ARCH, 0, NULL) == UDM_OK); /* another compile */
  CHILD_CHECK(count_files(".cubin") == 1);
  check_that_another_process_tries();
  create_once(&result); /* the image of the other process serves this one, too */
  CHILD_CHECK(result.status == UDM_OK);
  CHILD_CHECK(result.counted.hits_writable == 1);
}

static void test_a_rejected_compile_is_remembered(void **state) {
  run_in_child(refuse_once, *state);
}

static void refuse_by_one_nvrtc(const char *folder) {
  (void)folder;
  forbid_ptx();
  setenv("UDM_FAKE_NVRTC_FAIL", "nvrtcCompileProgram:6", 1);
  check_one_attempt();
  unsetenv("UDM_FAKE_NVRTC_FAIL");
  setenv("UDM_FAKE_NVRTC_VERSION", "12.9", 1);
  create_once(&result);
  CHILD_CHECK(result.status == UDM_OK);
  CHILD_CHECK(result.counted.compiles == 1);
}

static void test_another_nvrtc_compiles(void **state) { run_in_child(refuse_by_one_nvrtc, *state); }

static const char *passing_fault;

static void fail_and_clear(const char *folder) {
  (void)folder;
  forbid_ptx();
  setenv("UDM_FAKE_NVRTC_FAIL", passing_fault, 1);
  create_once(&result);
  const bool no_memory = strcmp(strchr(passing_fault, ':'), ":1") == 0;
  CHILD_CHECK(result.status == (no_memory ? UDM_ERROR_OUT_OF_MEMORY : UDM_ERROR_NO_IMAGE));
  CHILD_CHECK(result.counted.publishes == 0); /* PTX may have been compiled */
  unsetenv("UDM_FAKE_NVRTC_FAIL");
  create_once(&result);
  CHILD_CHECK(result.status == UDM_OK);
  CHILD_CHECK(result.counted.compiles == 1);
  CHILD_CHECK(result.counted.remembered_failures == 0);
}

/* Out of memory, missing builtins, an internal error: the next try may work, and does. */
static void test_temporary_failures_are_not_remembered(void **state) {
  static const char *const faults[] = {"nvrtcCreateProgram:1",  "nvrtcCompileProgram:1",
                                       "nvrtcCompileProgram:7", "nvrtcCompileProgram:11",
                                       "nvrtcGetCUBINSize:11",  "nvrtcGetCUBIN:11"};
  for (size_t i = 0; i < sizeof faults / sizeof faults[0]; ++i) {
    passing_fault = faults[i];
    clear_cache();
    run_in_child(fail_and_clear, *state);
  }
}

/* More failures than are remembered: only the oldest is tried again. */
static void refuse_many(const char *folder) {
  char version[16];
  (void)folder;
  forbid_ptx();
  setenv("UDM_FAKE_NVRTC_FAIL", "nvrtcCompileProgram:6", 1);
  for (int i = 0; i < 40; ++i) {
    snprintf(version, sizeof version, "12.%d", i);
    setenv("UDM_FAKE_NVRTC_VERSION", version, 1);
    check_one_attempt();
  }
  setenv("UDM_FAKE_NVRTC_VERSION", "12.0", 1);
  check_one_attempt();
  create_once(&result);
  CHILD_CHECK(result.counted.remembered_failures == REFUSALS);
}

static void test_more_than_are_remembered(void **state) { run_in_child(refuse_many, *state); }

int main(void) {
  const struct CMUnitTest tests[] = {
      CACHE_TEST(test_a_rejected_compile_is_remembered),
      CACHE_TEST(test_another_nvrtc_compiles),
      CACHE_TEST(test_temporary_failures_are_not_remembered),
      CACHE_TEST(test_more_than_are_remembered),
  };
  use_fake_device();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
