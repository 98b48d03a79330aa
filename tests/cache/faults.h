/*
 * faults.h: stands between the library and its system calls (the linker's --wrap),
 * counts them, and on demand fails, kills or stops the process at one of them.
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
  const char *only; /* calls of this name alone are counted, "malloc" for all that give memory;
                       NULL: all but those */
  long at;          /* the call that it befalls, from 1 */
  bool from_then_on;
};

/* From now on, in this process and those that it forks. For one thread. */
void faults_arm(const struct fault_plan *plan);

/* Returns how many calls were counted. */
long faults_disarm(void);

/* The call that the plan befell since it was armed; NULL: none. */
const char *faults_befell(void);

/* fsync() does nothing any more: for tests that publish thousands of times. */
void faults_skip_fsync(void);

/* What fcntl() does of locks, whether a plan is armed or not. */
enum lock_behaviour {
  LOCKS_WORK,
  LOCKS_FAIL,        /* with `error` */
  LOCKS_FOR_EVERYONE /* always granted, and nobody has any */
};
void faults_set_locks(enum lock_behaviour behaviour, int error);

#endif
