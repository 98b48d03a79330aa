/*
 * processes.h: starts cache_process, or whatever runs it, many times at once, sees
 * what it is doing and reads the line that each prints.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_PROCESSES_H
#define UDM_TESTS_PROCESSES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
  pid_t id;
  int output; /* the end of its stdout that is read */
};

/* arguments: the program first, NULL last. It is looked for in PATH. */
void process_start(struct process *process, const char *const arguments[]);

/* Reads all that it prints, cut at size - 1, and waits for its end. Returns waitpid()'s status. */
int process_finish(struct process *process, char *text, size_t size);

/* Whether it has a file of that name open; what was removed since does not count. */
bool process_has_open(const struct process *process, const char *name);

/* Whether it waits for something, and neither runs nor could. */
bool process_is_asleep(const struct process *process);

/* It can still be waited for. */
bool process_has_ended(const struct process *process);

/* The number behind "name=" in a line; -1 when it is not there. */
int64_t number_in_line(const char *line, const char *name);

#endif
