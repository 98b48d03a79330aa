/*
 * fork_guard.c: counts forks, in the children.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "launch/fork_guard.h"

#include <pthread.h>

unsigned udm_process_number;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool installed;

/* One thread runs in a child, and nothing but this has happened in it. */
static void count_fork(void) { ++udm_process_number; }

udm_status udm_fork_guard_install(void) {
  int error = 0;
  pthread_mutex_lock(&lock);
  if (!installed) error = pthread_atfork(NULL, NULL, count_fork);
  installed = installed || error == 0;
  pthread_mutex_unlock(&lock);
  return error ? udm_fail_errno(UDM_ERROR_OUT_OF_MEMORY, error, "pthread_atfork") : UDM_OK;
}

udm_status udm_fail_forked(void) {
  return udm_fail(UDM_ERROR_INVALID_ARGUMENT,
                  "ctx was made before fork(), by the parent: CUDA cannot be used in a child of a "
                  "process that uses it. Fork first and call udm_create in the child, or start the "
                  "child anew (exec, posix_spawn, multiprocessing's spawn)");
}
