/*
 * progress.c: a progress bar on stderr: see progress.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "numbers/clock.h"

enum { BAR_WIDTH = 32 };

/* Whether the terminal's last line is a bar; changed under flockfile(stderr). */
static bool is_drawn;

void progress_start(struct progress_bar *progress, const char *label, int64_t total) {
  const char *term = getenv("TERM");
  progress->label = label;
  progress->total = total;
  progress->started = 1e-6 * clock_microseconds();
  progress->shown = 0;
  progress->visible = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

static void draw(const struct progress_bar *progress, int64_t done, double elapsed) {
  if (progress->total <= 0) {
    fprintf(stderr, "\r\033[K%s", progress->label);
    if (done > 0) fprintf(stderr, "  %" PRId64, done);
    fprintf(stderr, "  %.0f s", elapsed);
    return;
  }
  const double share = (double)done / (double)progress->total;
  char bar[BAR_WIDTH + 1];
  memset(bar, '.', BAR_WIDTH);
  memset(bar, '#', (size_t)(share * BAR_WIDTH));
  bar[BAR_WIDTH] = '\0';
  fprintf(stderr, "\r\033[K%s  [%s] %" PRId64 "/%" PRId64, progress->label, bar, done,
          progress->total);
  if (done > 0) fprintf(stderr, "  %.0f s left", elapsed / share - elapsed);
}

void progress_update(struct progress_bar *progress, int64_t done) {
  if (!progress->visible) return;
  const double time = 1e-6 * clock_microseconds();
  if (time - progress->shown < 0.1) return;
  progress->shown = time;
  flockfile(stderr);
  draw(progress, done, time - progress->started);
  is_drawn = true;
  funlockfile(stderr);
}

void progress_wipe(void) {
  flockfile(stderr);
  if (is_drawn) fputs("\r\033[K", stderr);
  is_drawn = false;
  funlockfile(stderr);
}

void progress_finish(struct progress_bar *progress) {
  progress_wipe();
  progress->visible = false;
}
