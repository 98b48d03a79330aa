/*
 * selftest.h: the self-test of a GPU: runs the kernel and compares it with the C reference.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_SELFTEST_SELFTEST_H
#define UDM_TOOLS_SELFTEST_SELFTEST_H

#include <stdbool.h>
#include <stdint.h>

#include "command/progress.h"
#include "gpu/gpu_session.h"
#include "udm.h"

enum { SELFTEST_LARGEST_BATCH = 300, SELFTEST_MODES = 3, SELFTEST_GRAPHS = 3 };

/* What was compared in a udm_mode. */
struct selftest_mode {
  int64_t launches;
  int64_t mismatches; /* launches with a wrong byte */
};

struct selftest {
  const udm_options *options; /* for the second context */
  const struct gpu_session *session;
  int64_t cases;   /* random cases to run */
  int64_t replays; /* per graph */
  int64_t seed;

  int64_t cases_done;
  int64_t replays_done;
  int64_t mismatches; /* of all modes; the first few are printed */
  struct selftest_mode modes[SELFTEST_MODES];
  bool interrupted; /* by a signal */
  char error[9216];
  struct progress_bar bar;
};

/* Returns false if it could not run to the end: error says why. A mismatch is not a failure. */
bool selftest_run(struct selftest *test);

#endif
