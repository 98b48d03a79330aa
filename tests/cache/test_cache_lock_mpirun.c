/*
 * test_cache_lock_mpirun.c: OpenMPI's mpirun starts sixteen ranks with a cold cache.
 * One compiles.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cache_fixture.h"
#include "processes.h"
#include "temporary_folder.h"

enum { RANKS = 16, TEXT_SIZE = 1 << 18 };

static bool has_mpirun(void) {
  char text[4096];
  struct process process;
  const char *const arguments[] = {"mpirun", "--version", NULL};
  process_start(&process, arguments);
  return process_finish(&process, text, sizeof text) == 0 && strstr(text, "Open MPI");
}

/* On this machine alone: no resource manager, no remote shell, no network. */
static int run_ranks(const char *folder, const char *action, char *text) {
  char meeting[4352];
  struct process process;
  snprintf(meeting, sizeof meeting, "%s", path_in(folder, action));
  const char *const arguments[] = {"mpirun",
                                   "--allow-run-as-root",
                                   "--oversubscribe",
                                   "-n",
                                   "16",
                                   set_variable("CACHE_PROCESS"),
                                   "--together",
                                   meeting,
                                   "16",
                                   action,
                                   NULL};
  setenv("OMPI_MCA_plm", "isolated", 1);
  setenv("OMPI_MCA_oob_tcp_if_include", "lo", 1);
  process_start(&process, arguments);
  return process_finish(&process, text, TEXT_SIZE);
}

static void assert_ranks(const char *folder, const char *action) {
  static char text[TEXT_SIZE];
  int lines = 0;
  int compiles = 0;
  setenv("UDM_FAKE_NVRTC_DELAY_MS", "300", 1);
  const int status = run_ranks(folder, action, text);
  if (status != 0) fail_msg("mpirun ended with %d:\n%s", status, text);
  for (const char *at = strstr(text, "status="); at; at = strstr(at + 1, "status=")) {
    assert_int_equal(number_in_line(at, "status"), UDM_OK);
    compiles += (int)number_in_line(at, "compiles");
    ++lines;
  }
  assert_int_equal(lines, RANKS);
  assert_int_equal(compiles, 1);
  assert_int_equal(count_compiles(folder), 1);
}

static void test_ranks_that_create(void **state) { assert_ranks(*state, "create"); }

static void test_ranks_that_prewarm(void **state) { assert_ranks(*state, "prewarm"); }

int main(void) {
  const struct CMUnitTest tests[] = {
      CACHE_TEST(test_ranks_that_create),
      CACHE_TEST(test_ranks_that_prewarm),
  };
  if (!has_mpirun()) {
    printf("skipped: no mpirun of Open MPI: install Debian's openmpi-bin\n");
    return 77;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
