/*
 * progress.h: a progress bar on stderr, shown only when stderr is a terminal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_COMMAND_PROGRESS_H
#define UDM_TOOLS_COMMAND_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress_bar {
  const char *label;
  int64_t total; /* 0: not known */
  double started;
  double shown;
  bool visible;
};

void progress_start(struct progress_bar *progress, const char *label, int64_t total);

/* Redraws at most ten times a second. Not thread-safe. */
void progress_update(struct progress_bar *progress, int64_t done);

/* Wipes the bar off the terminal, if one is drawn, so that a message can take its line. Any thread.
 */
void progress_wipe(void);

/* Wipes the bar, which is not drawn again. */
void progress_finish(struct progress_bar *progress);

#endif
