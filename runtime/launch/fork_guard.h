/*
 * fork_guard.h: counts how many forks this process is away from the one that loaded
 * the library. A context of the parent must not be used in a child made by fork(),
 * where CUDA does not work. Each child gets another number, by a pthread_atfork()
 * handler, and a context knows the number of the process that made it: a launch
 * compares two integers. A process id would cost a system call per launch; a page
 * with MADV_WIPEONFORK would also see clone(), but is a mapping that outlives
 * dlclose() and needs Linux 4.14. The handler disappears with the library.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_LAUNCH_FORK_GUARD_H
#define UDM_RUNTIME_LAUNCH_FORK_GUARD_H

#include <stdbool.h>

#include "core/status.h"

extern unsigned udm_process_number;

/* Call it before the first context is made. It may be called again. */
udm_status udm_fork_guard_install(struct error *error);

udm_status udm_fail_forked(struct error *error);

#endif
