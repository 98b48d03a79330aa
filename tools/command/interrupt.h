/*
 * interrupt.h: SIGINT (Ctrl-C) and SIGTERM, for commands that run for long. udm notes the first
 * signal; the command finishes its current step (a wait or a compile ends at once) and reports what
 * it has done. A second signal ends the process at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_COMMAND_INTERRUPT_H
#define UDM_TOOLS_COMMAND_INTERRUPT_H

#include <stdbool.h>

#include "udm.h"

/*
 * Notes both signals from now on. A signal that the process inherited as ignored stays ignored.
 * Call it before any thread is started: the signals are blocked in those that are started later.
 */
void interrupt_watch(void);

/* Whether a signal was noted. Any thread may call it. */
bool interrupted(void);

/* The should_stop of udm_options, for a command of one thread: a noted signal ends the call. */
int interrupt_stop(void *user_data, udm_activity activity);

/*
 * Ends the process with the noted signal, so that the parent process knows (a shell's $? is 128
 * plus the signal number). Without a signal returns code.
 */
int interrupt_end(int code);

#endif
