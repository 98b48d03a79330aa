/*
 * child_process.h: runs a function in a child process: a library that kills its process must not
 * kill the tool.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_COMMAND_CHILD_PROCESS_H
#define UDM_TOOLS_COMMAND_CHILD_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Runs function(data) in a child that prints nothing and dumps no core. Call it before any thread
 * but that of interrupt.h is started. data: size bytes, whose changes by the child the caller sees
 * if it returned. Returns false if the child died, hung for a minute or was interrupted: death then
 * says how ("SIGBUS"). If the system starts no child (a limit on processes), the function runs
 * here.
 */
bool child_process_run(void (*function)(void *data), void *data, size_t size, char death[64]);

#endif
