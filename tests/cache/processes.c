/*
 * processes.c: starts processes and reads what they print.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "processes.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmocka_headers.h"

void process_start(struct process *process, const char *const arguments[]) {
  int ends[2];
  if (!arguments[0]) fail_msg("no program: is CACHE_PROCESS set?");
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  process->id = fork();
  assert_true(process->id >= 0);
  if (process->id == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char *copies[16] = {NULL}; /* execvp() wants them without const, and changes nothing */
    for (int i = 0; arguments[i] && i < 15; ++i) copies[i] = strdup(arguments[i]);
    dup2(ends[1], STDOUT_FILENO);
    if (copies[0]) execvp(copies[0], copies);
    perror(arguments[0]);
    _exit(127);
  }
  close(ends[1]);
  process->output = ends[0];
}

int process_finish(struct process *process, char *text, size_t size) {
  size_t used = 0;
  int status = -1;
  char rest[256];
  for (;;) {
    const bool full = used + 1 >= size;
    const ssize_t count =
        read(process->output, full ? rest : text + used, full ? sizeof rest : size - 1 - used);
    if (count <= 0) break;
    if (!full) used += (size_t)count;
  }
  text[used] = '\0';
  close(process->output);
  assert_int_equal(waitpid(process->id, &status, 0), process->id);
  return status;
}

int64_t number_in_line(const char *line, const char *name) {
  const size_t length = strlen(name);
  for (const char *at = strstr(line, name); at; at = strstr(at + 1, name)) {
    const bool begins = at == line || at[-1] == ' ' || at[-1] == '\n';
    if (begins && at[length] == '=') return strtoll(at + length + 1, NULL, 10);
  }
  return -1;
}
