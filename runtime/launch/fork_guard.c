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

/* Only one thread runs in a child, and it has done nothing else yet. */
static void count_fork(void) { ++udm_process_number; }

udm_status udm_fork_guard_install(struct error *error) {
  int number = 0;
  pthread_mutex_lock(&lock);
  if (!installed) number = pthread_atfork(NULL, NULL, count_fork);
  installed = installed || number == 0;
  pthread_mutex_unlock(&lock);
  return number ? udm_fail_errno(error, UDM_ERROR_OUT_OF_MEMORY, number, "pthread_atfork") : UDM_OK;
}

udm_status udm_fail_forked(struct error *error) {
  return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                  "ctx was made before fork(), by the parent: CUDA cannot be used in a child of a "
                  "process that uses it. Fork first and call udm_create in the child, or start the "
                  "child anew (exec, posix_spawn, multiprocessing's spawn)");
}
