/*
 * processes.c: starts processes, watches them and reads their output.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
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
    char *copies[16] = {NULL}; /* execvp() takes them without const */
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

bool process_has_open(const struct process *process, const char *name) {
  char folder[64];
  char path[512];
  char target[4352];
  bool has = false;
  snprintf(folder, sizeof folder, "/proc/%ld/fd", (long)process->id);
  DIR *listing = opendir(folder);
  if (!listing) return false;
  for (struct dirent *entry = readdir(listing); entry && !has; entry = readdir(listing)) {
    snprintf(path, sizeof path, "%s/%.100s", folder, entry->d_name);
    const ssize_t length = readlink(path, target, sizeof target - 1);
    if (length <= 0) continue;
    target[length] = '\0';
    const char *last = strrchr(target, '/');
    has = last && strcmp(last + 1, name) == 0;
  }
  closedir(listing);
  return has;
}

bool process_is_asleep(const struct process *process) {
  char path[64];
  char text[512];
  snprintf(path, sizeof path, "/proc/%ld/stat", (long)process->id);
  FILE *file = fopen(path, "r");
  if (!file) return false;
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  const char *state = strrchr(text, ')'); /* the program's name before it may hold any character */
  return state && strncmp(state, ") S", 3) == 0;
}

bool process_has_ended(const struct process *process) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  return waitid(P_PID, (id_t)process->id, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid != 0;
}

int64_t number_in_line(const char *line, const char *name) {
  const size_t length = strlen(name);
  for (const char *at = strstr(line, name); at; at = strstr(at + 1, name)) {
    const bool begins = at == line || at[-1] == ' ' || at[-1] == '\n';
    if (begins && at[length] == '=') return strtoll(at + length + 1, NULL, 10);
  }
  return -1;
}
