/*
 * fork_guard.h: a context of the parent is refused in a child made by fork(),
 * where CUDA does not work. Each child gets another number, by a handler of
 * pthread_atfork(), and a context knows the number of the process that made it:
 * a launch compares two integers. A process id asked of the kernel would cost a
 * system call a launch; a page with MADV_WIPEONFORK would see clone() too, but
 * is a mapping that outlives dlclose() and needs Linux 4.14. The handler goes
 * when the library is unloaded.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_LAUNCH_FORK_GUARD_H
#define UDM_RUNTIME_LAUNCH_FORK_GUARD_H

#include <stdbool.h>

#include "core/status.h"
#include "launch/context.h"

/* How many forks this process is away from the one that loaded the library. */
extern unsigned udm_process_number;

/* Before the first context is made; any number of times. */
udm_status udm_fork_guard_install(void);

static inline bool udm_is_of_parent(const udm_context *ctx) {
  return ctx->process_number != udm_process_number;
}

udm_status udm_fail_forked(void);

/* The context of a launch: there, and of this process. Inline: it is all that a launch pays. */
static inline udm_status udm_check_context(const udm_context *ctx) {
  if (!ctx) return udm_fail(UDM_ERROR_INVALID_ARGUMENT, "ctx is null");
  return udm_is_of_parent(ctx) ? udm_fail_forked() : UDM_OK;
}

#endif
