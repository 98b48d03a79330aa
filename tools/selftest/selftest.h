/*
 * selftest.h: the self-test of a GPU. Compares the kernel, as the machine's driver
 * runs it, with the C reference: every batch size from 0 to 300, random cases, a
 * recorded launch replayed with changing lengths, a second CUDA context; each with
 * the direct and the pointer-table call.
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

enum { SELFTEST_LARGEST_BATCH = 300 };

struct selftest {
  const udm_options *options; /* for the second context */
  const struct gpu_session *session;
  int64_t cases;   /* random cases to run */
  int64_t replays; /* per graph */
  int64_t seed;

  int64_t cases_done;
  int64_t replays_done;
  int64_t mismatches; /* cases and replays with a wrong byte; the first few are printed */
  bool interrupted;   /* by a signal, after these */
  char error[9216];
  struct progress_bar bar;
};

/* False if it could not run to its end; error says why. A mismatch is not a failure here. */
bool selftest_run(struct selftest *test);

#endif
