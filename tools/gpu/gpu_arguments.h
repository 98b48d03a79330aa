/*
 * gpu_arguments.h: the command line of a command that works on one GPU and takes no positional
 * arguments: --gpu, --cache-dir, --json and --help beside its own options.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_GPU_GPU_ARGUMENTS_H
#define UDM_TOOLS_GPU_GPU_ARGUMENTS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "command/arguments.h"
#include "udm.h"

struct gpu_arguments {
  udm_options options; /* its log prints the warnings */
  int32_t gpu;
  bool json;
  bool help;
};

/* A command's own options are numbered from here. */
enum { GPU_OPTION_GPU = OPTION_FIRST, GPU_OPTION_CACHE_DIR, GPU_OPTION_JSON, GPU_OPTION_FIRST };

/* The end of a command's table of options. */
/* clang-format off */
#define GPU_ARGUMENTS_OPTIONS                                 \
  {"gpu", required_argument, NULL, GPU_OPTION_GPU},            \
  {"cache-dir", required_argument, NULL, GPU_OPTION_CACHE_DIR}, \
  {"json", no_argument, NULL, GPU_OPTION_JSON},                \
  {"help", no_argument, NULL, OPTION_HELP},                   \
  {NULL, 0, NULL, 0}
/* clang-format on */

/* Takes one of the command's own options; false, with the message printed, when it is wrong. */
typedef bool (*gpu_arguments_callback)(void *command, int option, const char *value);

/* False after a message. After --help the rest is not read. */
bool gpu_arguments_read(struct gpu_arguments *arguments, int argc, char **argv,
                        const struct option *options, gpu_arguments_callback take, void *command);

#endif
