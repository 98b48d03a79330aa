/*
 * interrupt.c: notes SIGINT and SIGTERM: see interrupt.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "output.h"

static atomic_int noted; /* the signal */
static sigset_t watched;

/* The signal's own effect; the first process of a container survives it. */
static void die_of(int signal_number) {
  signal(signal_number, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &watched, NULL);
  raise(signal_number);
  _exit(128 + signal_number); /* threads may still be compiling */
}

static void *wait_for_signals(void *unused) {
  int signal_number = 0;
  (void)unused;
  if (sigwait(&watched, &signal_number) == 0) atomic_store(&noted, signal_number);
  if (sigwait(&watched, &signal_number) == 0) die_of(signal_number);
  return NULL;
}

static void add_unless_ignored(int signal_number) {
  struct sigaction before;
  if (sigaction(signal_number, NULL, &before) != 0 || before.sa_handler == SIG_IGN) return;
  sigaddset(&watched, signal_number);
}

/*
 * No handler: for a part of each compile, NVRTC sets its own, which ends the process (exit status
 * 4). Every later thread inherits the mask, so the signals wait for the one that takes them.
 */
void interrupt_watch(void) {
  pthread_t thread;
  sigemptyset(&watched);
  add_unless_ignored(SIGINT);
  add_unless_ignored(SIGTERM);
  pthread_sigmask(SIG_BLOCK, &watched, NULL);
  if (pthread_create(&thread, NULL, wait_for_signals, NULL) == 0) {
    pthread_detach(thread);
  } else {
    pthread_sigmask(SIG_UNBLOCK, &watched, NULL);
  }
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
  die_of(signal_number);
  return code;
}
