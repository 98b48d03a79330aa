/*
 * child_process.c: runs a function in a child process: see child_process.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "interrupt.h"
#include "numbers/clock.h"

enum { MOST_SECONDS = 60 };

static void be_quiet(void) {
  const struct rlimit no_core = {0, 0};
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  sigset_t none;
  setrlimit(RLIMIT_CORE, &no_core);
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, NULL); /* interrupt.c blocks the signals */
  if (nowhere < 0) return;
  dup2(nowhere, STDOUT_FILENO);
  dup2(nowhere, STDERR_FILENO);
}

/* Waits for the child's end, but no longer than a minute, nor after a signal. */
static bool wait_for(pid_t child, int *status) {
  const struct timespec pause = {0, 2000000};
  const double end = clock_microseconds() + 1e6 * MOST_SECONDS;
  while (clock_microseconds() < end && !interrupted()) {
    if (waitpid(child, status, WNOHANG) == child) return true;
    nanosleep(&pause, NULL);
  }
  kill(child, SIGKILL);
  waitpid(child, status, 0);
  return false;
}

static void describe(int status, bool ended, char death[64]) {
  static const struct {
    int number;
    const char *name;
  } signals[] = {{SIGBUS, "SIGBUS"},   {SIGSEGV, "SIGSEGV"}, {SIGILL, "SIGILL"},
                 {SIGABRT, "SIGABRT"}, {SIGFPE, "SIGFPE"},   {SIGTRAP, "SIGTRAP"}};
  if (!ended) {
    snprintf(death, 64, "%s", interrupted() ? "interrupted" : "no answer within a minute");
  } else if (!WIFSIGNALED(status)) {
    snprintf(death, 64, "exit status %d", WEXITSTATUS(status));
  } else {
    snprintf(death, 64, "signal %d", WTERMSIG(status));
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; ++i) {
      if (signals[i].number == WTERMSIG(status)) snprintf(death, 64, "%s", signals[i].name);
    }
  }
}

bool child_process_run(void (*function)(void *data), void *data, size_t size, char death[64]) {
  int status = 0;
  bool done = false;
  death[0] = '\0';
  void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared != MAP_FAILED) memcpy(shared, data, size);
  fflush(NULL);
  const pid_t child = shared == MAP_FAILED ? -1 : fork();
  if (child == 0) {
    be_quiet();
    function(shared);
    _exit(0);
  }
  if (child < 0) {
    function(data);
    done = true;
  } else {
    const bool ended = wait_for(child, &status);
    done = ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (done) {
      memcpy(data, shared, size);
    } else {
      describe(status, ended, death);
    }
  }
  if (shared != MAP_FAILED) munmap(shared, size);
  return done;
}
