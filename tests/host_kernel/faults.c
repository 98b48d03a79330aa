/*
 * faults.c: memory faults of a kernel, or of the driver around it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "faults.h"

#include <assert.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* SIGILL: the compiler's traps raise it, for example for a misaligned vector access. */
static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

enum { SIGNALS = sizeof signals / sizeof signals[0] };

enum { DEPTH = 2 }; /* a driver call and a kernel inside it */

static struct sigaction previous[DEPTH][SIGNALS];
static const char *running[DEPTH];
static int depth;

static void print(const char *text) {
  const ssize_t written = write(STDERR_FILENO, text, strlen(text));
  (void)written; /* there is nothing to do about a failure here */
}

/* Returns to the faulting instruction, which then gets the default action. */
static void report(int signal_number) {
  (void)signal_number;
  print(running[depth - 1]);
  print(" faulted\n");
}

void faults_begin(const char *what) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = report;
  action.sa_flags = (int)SA_RESETHAND;
  assert(depth < DEPTH);
  running[depth] = what;
  for (size_t s = 0; s < SIGNALS; ++s) sigaction(signals[s], &action, &previous[depth][s]);
  ++depth;
}

void faults_end(void) {
  --depth;
  for (size_t s = 0; s < SIGNALS; ++s) sigaction(signals[s], &previous[depth][s], NULL);
}
