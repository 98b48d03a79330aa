/*
 * nvrtc_try.c: tries an NVRTC in a child process: see nvrtc_try.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nvrtc_try.h"

#include <stdio.h>
#include <string.h>

#include "command/child_process.h"
#include "command/interrupt.h"
#include "nvrtc_compile.h"

/* What the child works on. */
struct trial {
  udm_options options;
  char reason[1024]; /* "" if the NVRTC works */
  udm_nvrtc_info info;
};

static int note_candidate(void *user_data, const udm_nvrtc_candidate *candidate) {
  struct trial *trial = user_data;
  snprintf(trial->reason, sizeof trial->reason, "%s", candidate->reason);
  if (candidate->nvrtc) trial->info = *candidate->nvrtc;
  return 1;
}

static void try_here(void *data) {
  static const char source[] = "extern \"C\" __global__ void k() {}\n";
  struct trial *trial = data;
  unsigned char *cubin = NULL;
  char reason[sizeof trial->reason - 96];
  if (udm_nvrtc_enumerate(&trial->options, note_candidate, trial) != UDM_OK) {
    snprintf(trial->reason, sizeof trial->reason, "%s", udm_last_error());
  }
  if (trial->reason[0] || trial->info.arch_count == 0) return;
  const int32_t newest = trial->info.archs[trial->info.arch_count - 1];
  if (!nvrtc_compile(&trial->options, source, newest, &cubin, reason, sizeof reason)) {
    snprintf(trial->reason, sizeof trial->reason,
             "it opens, but cannot compile: %s: install its package again, or remove the file",
             reason);
  }
}

char *nvrtc_try(const udm_options *options, const char *library, udm_nvrtc_info *info,
                bool *kills) {
  struct trial trial = {*options, "", {.struct_size = sizeof trial.info}};
  char death[64];
  trial.options.nvrtc_library = library;
  trial.options.log = NULL;
  const bool tried = child_process_run(try_here, &trial, sizeof trial, death);
  *kills = !tried && !interrupted();
  if (interrupted()) {
    snprintf(trial.reason, sizeof trial.reason, "a signal came before it was tried");
  } else if (!tried) {
    snprintf(trial.reason, sizeof trial.reason,
             "it kills the process that opens it or compiles with it (%s): install its package "
             "again, or remove the file",
             death);
  }
  *info = trial.info;
  return strdup(trial.reason);
}
