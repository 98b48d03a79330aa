/*
 * interrupt.h: SIGINT (Ctrl-C) and SIGTERM, for commands with work that can be cut short: the
 * first one is noted, so that the command ends the step that it is in and
 * reports what was done. A second one ends the process at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_COMMAND_INTERRUPT_H
#define UDM_TOOLS_COMMAND_INTERRUPT_H

#include <stdbool.h>

/* From now on they are noted. One that the process was started to ignore stays ignored. */
void interrupt_watch(void);

/* Whether one was noted. Any thread. */
bool interrupted(void);

/*
 * The end of the process: if a signal was noted, dies of it, so that the parent process
 * knows (a shell's $? is 128 plus its number). Otherwise returns code.
 */
int interrupt_end(int code);

#endif
