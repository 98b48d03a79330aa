/*
 * command.h: a command of the udm program: its name, its one-line summary and its
 * function. main.c holds the table; every command lives in a file of its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_COMMAND_COMMAND_H
#define UDM_TOOLS_COMMAND_COMMAND_H

/* The exit codes of every command. */
enum { EXIT_DONE = 0, EXIT_COULD_NOT = 1, EXIT_USAGE = 2 };

struct command_entry {
  const char *name;
  const char *summary;
  /* argv[0] is the command's name. Returns an exit code. */
  int (*run)(int argc, char **argv);
};

int doctor_main(int argc, char **argv);
int prewarm_main(int argc, char **argv);
int cache_main(int argc, char **argv);
int replay_main(int argc, char **argv);
int selftest_main(int argc, char **argv);
int bench_main(int argc, char **argv);

#endif
