/*
 * main.c: the udm program: finds the command by its name and runs it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "interrupt.h"
#include "output.h"
#include "udm.h"

static const struct command_entry commands[] = {
    {"doctor", "report what udm can use on this machine, and what is missing", doctor_main},
    {"prewarm", "compile the kernel into the cache, with or without a GPU", prewarm_main},
    {"cache", "list, check, prune and move the cubin cache", cache_main},
    {"replay", "replay a request trace through the kernel, step by step", replay_main},
    {"selftest", "test this machine's GPU: kernel against reference", selftest_main},
    {"bench", "measure this machine's GPU beside its lower bounds", bench_main},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(FILE *file) {
  fputs(
      "udm: the attention metadata of every draft backend, in one kernel launch\n"
      "\n"
      "usage: udm COMMAND [OPTION...]\n"
      "       udm --help | --version\n"
      "\n"
      "commands\n",
      file);
  for (size_t i = 0; i < COMMAND_COUNT; ++i) {
    fprintf(file, "  %-10s %s\n", commands[i].name, commands[i].summary);
  }
  fputs(
      "\n"
      "On a new machine\n"
      "  udm doctor                      what udm can use, what is missing\n"
      "  udm prewarm                     compile once, before serving\n"
      "  udm selftest                    does this GPU give right answers?\n"
      "  udm replay TRACE --check        replay requests, with every step checked\n"
      "\n"
      "'udm COMMAND --help' explains a command. Every command takes --json and then prints\n"
      "one JSON object. Exit codes: 0 success, 1 failure, 2 wrong usage. On Ctrl-C or SIGTERM,\n"
      "replay, selftest, bench and prewarm finish the current step and report what was done;\n"
      "a compile, or a wait for another process, ends within a second (NVRTC of CUDA 11 compiles\n"
      "to its end, except in prewarm). The exit code is then 128 plus the signal number.\n",
      file);
}

/* How many single-character edits turn a into b (Levenshtein), for short words. */
static size_t edit_distance(const char *a, const char *b) {
  size_t row[32];
  const size_t width = strlen(b);
  if (width + 1 > sizeof row / sizeof row[0]) return SIZE_MAX;
  for (size_t j = 0; j <= width; ++j) row[j] = j;
  for (size_t i = 1; a[i - 1]; ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= width; ++j) {
      const size_t replace = diagonal + (a[i - 1] != b[j - 1]);
      const size_t edit = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
      diagonal = row[j];
      row[j] = replace < edit ? replace : edit;
    }
  }
  return row[width];
}

static int unknown_command(const char *name) {
  const struct command_entry *closest = NULL;
  if (name[0] == '-') {
    output_error("'%s' stands before the command: options follow it, as in 'udm doctor --json'",
                 name);
    return EXIT_USAGE;
  }
  size_t least = 3; /* a name more than two edits away is another word */
  for (size_t i = 0; i < COMMAND_COUNT; ++i) {
    const size_t distance = edit_distance(name, commands[i].name);
    if (distance < least) {
      least = distance;
      closest = &commands[i];
    }
  }
  if (closest) {
    output_error("there is no command '%s': did you mean '%s'?", name, closest->name);
  } else {
    output_error("there is no command '%s': 'udm --help' lists them", name);
  }
  return EXIT_USAGE;
}

/* Needed because a command with wrong options never reads its --json. */
static bool wants_json(int argc, char **argv) {
  for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; ++i) {
    if (strcmp(argv[i], "--json") == 0) return true;
  }
  return false;
}

static int run(int argc, char **argv) {
  if (argc < 2) {
    print_help(stderr);
    return EXIT_USAGE;
  }
  const char *name = argv[1];
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
    print_help(stdout);
    return EXIT_DONE;
  }
  if (strcmp(name, "--version") == 0) {
    printf("udm %s\n", udm_version_string());
    return EXIT_DONE;
  }
  for (size_t i = 0; i < COMMAND_COUNT; ++i) {
    if (strcmp(name, commands[i].name) == 0) {
      return commands[i].run(argc - 1, argv + 1);
    }
  }
  return unknown_command(name);
}

/* With --json, wrong usage is one JSON object too. */
static int run_json(int argc, char **argv) {
  const bool json = wants_json(argc, argv); /* before the command puts its arguments in order */
  const int code = run(argc, argv);
  if (code != EXIT_USAGE || !json) return code;
  return output_json(json_pack("{s:o}", "error", output_text(output_last_error())), code);
}

/*
 * If a standard stream is closed, the next file that udm opens would take its place, and messages
 * would go into that file. Opened the wrong way round, /dev/null still makes every write fail.
 */
static void fill_standard_streams(void) {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    if (open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) != stream) return;
  }
}

int main(int argc, char **argv) {
  fill_standard_streams();
  return interrupt_end(output_finish(run_json(argc, argv)));
}
