/*
 * interrupt.c: notes SIGINT and SIGTERM: see interrupt.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

static atomic_int noted; /* the signal; lock-free, so a handler may write it */

static void note(int signal_number) { atomic_store(&noted, signal_number); }

static void watch(int signal_number) {
  struct sigaction action;
  struct sigaction before;
  if (sigaction(signal_number, NULL, &before) != 0 || before.sa_handler == SIG_IGN) return;
  memset(&action, 0, sizeof action);
  action.sa_handler = note;
  action.sa_flags = SA_RESTART | (int)SA_RESETHAND;
  sigemptyset(&action.sa_mask);
  sigaction(signal_number, &action, NULL);
}

void interrupt_watch(void) {
  watch(SIGINT);
  watch(SIGTERM);
}

bool interrupted(void) { return atomic_load(&noted) != 0; }

int interrupt_stop(void *user_data, udm_activity activity) {
  (void)user_data;
  (void)activity;
  return interrupted();
}

int interrupt_end(int code) {
  const int signal_number = atomic_load(&noted);
  if (signal_number == 0) return code;
  output_error("interrupted by %s", signal_number == SIGINT ? "SIGINT" : "SIGTERM");
  signal(signal_number, SIG_DFL);
  raise(signal_number);
  /* the first process of a container survives the signal; threads may still be compiling */
  _exit(128 + signal_number);
}
