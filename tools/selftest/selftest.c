/*
 * selftest.c: udm selftest: the command line and the report.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>

#include "command/command.h"
#include "command/interrupt.h"
#include "command/output.h"
#include "command/text_table.h"
#include "gpu/gpu_arguments.h"
#include "gpu/gpu_session.h"
#include "selftest.h"

static const char help_text[] =
    "usage: udm selftest [OPTION...]\n"
    "\n"
    "Tests whether this machine's GPU gives right answers. It runs the kernel and compares every\n"
    "byte of the outputs, and of the guard bands around them, with the C reference. It covers\n"
    "every mode (decode, target verify, draft extend) with every output, at every batch size from\n"
    "0 to 300 and in random shapes; CUDA graphs that record one launch or a step of all modes and\n"
    "replay it with changing lengths; and a second CUDA context, each with the direct call and\n"
    "the pointer-table call. Exit code 1 if any byte differs.\n"
    "\n"
    "  --cases N         number of random cases (default 1000)\n"
    "  --replays N       replays of each of the three graphs (default 1000)\n"
    "  --seed N          random seed (default 1)\n"
    "  --gpu ORDINAL     device ordinal of the GPU (default 0)\n"
    "  --cache-dir DIR   the cache, instead of UDM_CACHE_DIR or ~/.cache/udm\n"
    "  --json            print one JSON object\n"
    "\n"
    "examples\n"
    "  udm selftest\n"
    "  udm selftest --cases 100000 --seed $RANDOM     a longer search\n";

enum { CASES = GPU_OPTION_FIRST, REPLAYS, SEED };

static const struct option long_options[] = {
    {"cases", required_argument, NULL, CASES},
    {"replays", required_argument, NULL, REPLAYS},
    {"seed", required_argument, NULL, SEED},
    GPU_ARGUMENTS_OPTIONS,
};

struct selftest_command {
  struct gpu_arguments arguments;
  struct selftest test;
};

static void add_progress(struct text_table *table, const struct selftest *test) {
  if (test->interrupted) {
    table_add(table, "cases\t%" PRId64 ", then interrupted", test->cases_done);
  } else {
    table_add(table,
              "cases\t%" PRId64 ": every batch size from 0 to %d, %" PRId64
              " random ones, two contexts",
              test->cases_done, SELFTEST_LARGEST_BATCH, test->cases);
  }
  table_add(table, "replays\t%" PRId64 " of three CUDA graphs, each compared", test->replays_done);
  table_add(table,
            "modes\tdecode %" PRId64 ", target verify %" PRId64 ", draft extend %" PRId64
            " launches",
            test->modes[UDM_MODE_DECODE].launches, test->modes[UDM_MODE_TARGET_VERIFY].launches,
            test->modes[UDM_MODE_DRAFT_EXTEND].launches);
}

/* By the names of udm_mode. */
static json_t *pack_modes(const struct selftest *test) {
  static const char *const names[SELFTEST_MODES] = {"decode", "target_verify", "draft_extend"};
  json_t *modes = json_object();
  for (int m = 0; modes && m < SELFTEST_MODES; ++m) {
    json_object_set_new(modes, names[m],
                        json_pack("{s:I, s:I}", "launches", (json_int_t)test->modes[m].launches,
                                  "mismatches", (json_int_t)test->modes[m].mismatches));
  }
  return modes;
}

static const char *verdict(const struct selftest *test) {
  if (test->mismatches > 0) return "FAILED";
  return test->interrupted ? "none, interrupted" : "passed";
}

static int report(const struct selftest_command *command, const struct gpu_session *session) {
  const struct selftest *test = &command->test;
  const int code = test->mismatches == 0 ? EXIT_DONE : EXIT_COULD_NOT;
  const bool passed = code == EXIT_DONE && !test->interrupted;
  const udm_context_info *info = &session->info;
  if (command->arguments.json) {
    char arch[16];
    snprintf(arch, sizeof arch, "sm_%d", info->device_arch);
    return output_json(
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:b}", "device", session->name, "arch", arch,
                  "image_source", udm_image_source_name(info->image_source), "cases",
                  (json_int_t)test->cases_done, "replays", (json_int_t)test->replays_done,
                  "mismatches", (json_int_t)test->mismatches, "modes", pack_modes(test),
                  "interrupted", test->interrupted),
        code);
  }
  struct text_table table = TABLE_INIT;
  table_add(&table, "device\tGPU %d, %s, sm_%d", command->arguments.gpu, session->name,
            info->device_arch);
  table_add(&table, "image\tsm_%d from %s, %zu bytes", info->image_arch,
            udm_image_source_name(info->image_source), info->image_bytes);
  add_progress(&table, test);
  table_print(&table, stdout, 0, "");
  table_free(&table);
  printf("verdict  %s%s: %" PRId64 " mismatches%s\n",
         output_escape(stdout, passed ? STYLE_GOOD : STYLE_BAD), verdict(test), test->mismatches,
         output_escape(stdout, STYLE_PLAIN));
  return code;
}

static bool take_option(void *user_data, int option, const char *value) {
  struct selftest_command *command = user_data;
  switch (option) {
    case CASES:
      return arguments_number("--cases", value, 0, INT32_MAX, &command->test.cases);
    case REPLAYS:
      return arguments_number("--replays", value, 0, INT32_MAX, &command->test.replays);
    case SEED:
      return arguments_number("--seed", value, 0, INT32_MAX, &command->test.seed);
    default:
      return false;
  }
}

static int run(struct selftest_command *command) {
  struct gpu_session session;
  struct selftest *test = &command->test;
  interrupt_watch();
  if (!gpu_session_open(&session, &command->arguments.options, command->arguments.gpu, test->error,
                        sizeof test->error)) {
    return output_fail(command->arguments.json, "cannot test a GPU: %s", test->error);
  }
  test->options = &command->arguments.options;
  test->session = &session;
  const int code = selftest_run(test) ? report(command, &session)
                                      : output_fail(command->arguments.json, "%s", test->error);
  gpu_session_close(&session);
  return code;
}

int selftest_main(int argc, char **argv) {
  struct selftest_command command = {.test = {.cases = 1000, .replays = 1000, .seed = 1}};
  if (!gpu_arguments_read(&command.arguments, argc, argv, long_options, take_option, &command)) {
    return EXIT_USAGE;
  }
  if (!command.arguments.help) return run(&command);
  fputs(help_text, stdout);
  return EXIT_DONE;
}
