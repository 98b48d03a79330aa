/*
 * processes.h: starts cache_process, or a program that runs it, many times at once,
 * watches it, and reads the line that each process prints.
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
  int output; /* the read end of the pipe from its stdout */
};

/* arguments: the program, which is searched for in PATH, first; NULL last. */
void process_start(struct process *process, const char *const arguments[]);

/* Reads its output, cut at size - 1, and waits until it ends. Returns waitpid()'s status. */
int process_finish(struct process *process, char *text, size_t size);

/* True if it has a file with this name open that has not been removed. */
bool process_has_open(const struct process *process, const char *name);

/* True if it is asleep in a system call. */
bool process_is_asleep(const struct process *process);

/* Leaves the process waitable. */
bool process_has_ended(const struct process *process);

/* The number after "name=" in a line, or -1 if the line has none. */
int64_t number_in_line(const char *line, const char *name);

#endif
