/*
 * faults.h: wraps the system calls of the library (the linker's --wrap), counts
 * them, and on demand makes one fail, or kills or stops the process before it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_FAULTS_H
#define UDM_TESTS_FAULTS_H

#include <stdbool.h>

enum fault_action {
  FAULT_NONE,
  FAULT_ERROR, /* the call does nothing and fails with `error`; close() does its work */
  FAULT_KILL,  /* SIGKILL before the call */
  FAULT_STOP   /* SIGSTOP before the call */
};

struct fault_plan {
  enum fault_action action;
  int error;
  const char *only; /* count only calls of this name; "malloc": all allocations; NULL: all
                       calls except allocations */
  long at;          /* the number of the call to fail, from 1 */
  bool from_then_on;
};

/* Applies to this process and those that it forks, from now on. Not thread safe. */
void faults_arm(const struct fault_plan *plan);

/* Returns the number of calls counted. */
long faults_disarm(void);

/* The name of the call at which the plan acted since it was armed. NULL: it has not. */
const char *faults_befell(void);

/* Makes fsync() do nothing: for tests that store thousands of times. */
void faults_skip_fsync(void);

/* How fcntl() treats locks, whether or not a plan is armed. */
enum lock_behaviour {
  LOCKS_WORK,
  LOCKS_FAIL,        /* with `error` */
  LOCKS_FOR_EVERYONE /* every lock is granted at once, and excludes nobody */
};
void faults_set_locks(enum lock_behaviour behaviour, int error);

#endif
