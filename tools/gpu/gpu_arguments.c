/*
 * gpu_arguments.c: the command line of a command that works on one GPU: see gpu_arguments.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "gpu_arguments.h"

#include "command/interrupt.h"
#include "command/output.h"

static bool take_gpu(struct gpu_arguments *arguments, const char *value) {
  int64_t gpu = 0;
  if (!arguments_number("--gpu", value, 0, 1023, &gpu)) return false;
  arguments->gpu = (int32_t)gpu;
  return true;
}

bool gpu_arguments_read(struct gpu_arguments *arguments, int argc, char **argv,
                        const struct option *options, gpu_arguments_callback take, void *command) {
  int option;
  bool good = true;
  *arguments = (struct gpu_arguments){.options = UDM_OPTIONS_INIT};
  arguments->options.log = output_log;
  arguments->options.should_stop = interrupt_stop;
  while (good && !arguments->help && (option = arguments_next(argc, argv, options)) != -1) {
    switch (option) {
      case GPU_OPTION_GPU:
        good = take_gpu(arguments, optarg);
        break;
      case GPU_OPTION_CACHE_DIR:
        arguments->options.cache_dir = optarg;
        break;
      case GPU_OPTION_JSON:
        arguments->json = true;
        break;
      case OPTION_HELP:
        arguments->help = true;
        break;
      case '?':
        good = false;
        break;
      default:
        good = take(command, option, optarg);
    }
  }
  return good && (arguments->help || arguments_positional(argc, argv, 0, ""));
}
