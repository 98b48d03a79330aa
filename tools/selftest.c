/*
 * udm selftest: the acceptance test of a node. The kernel, as this machine's
 * driver runs it, against the C reference.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>

#include "acceptance.h"
#include "arguments.h"
#include "command.h"
#include "gpu_session.h"
#include "interrupt.h"
#include "output.h"
#include "table.h"

static const char kHelp[] =
    "usage: udm selftest [OPTION...]\n"
    "\n"
    "Accepts a node: runs the kernel on its GPU and compares every byte of the outputs, and\n"
    "of the guard bands around them, with the C reference. Every batch size from 0 to 300,\n"
    "random shapes, a launch recorded in a CUDA graph and replayed with changing lengths,\n"
    "and a second CUDA context; each through both entries. Exit 1 when anything differs.\n"
    "\n"
    "  --cases N         random cases (1000)\n"
    "  --replays N       replays of the graph of each entry (1000)\n"
    "  --seed N          of all that is random (1)\n"
    "  --gpu ORDINAL     which GPU (0)\n"
    "  --cache-dir DIR   the cubin cache\n"
    "  --json            one JSON object\n"
    "\n"
    "examples\n"
    "  udm selftest\n"
    "  udm selftest --cases 100000 --seed $RANDOM     a longer search\n";

enum { kCases = kOptionFirst, kReplays, kSeed, kGpu, kCacheDir, kJson };

static const struct option kOptions[] = {
    {"cases", required_argument, NULL, kCases},
    {"replays", required_argument, NULL, kReplays},
    {"seed", required_argument, NULL, kSeed},
    {"gpu", required_argument, NULL, kGpu},
    {"cache-dir", required_argument, NULL, kCacheDir},
    {"json", no_argument, NULL, kJson},
    {"help", no_argument, NULL, kOptionHelp},
    {NULL, 0, NULL, 0},
};

typedef struct selftest {
  udm_options options;
  acceptance test;
  int64_t gpu;
  bool json;
  bool help;
} selftest;

static void add_course(text_table *table, const acceptance *test) {
  if (test->interrupted) {
    table_add(table, "cases\t%" PRId64 ", then interrupted", test->cases_done);
  } else {
    table_add(table,
              "cases\t%" PRId64 ": every batch size from 0 to %d, %" PRId64
              " random ones, two contexts",
              test->cases_done, kAcceptanceLargestBatch, test->cases);
  }
  table_add(table, "replays\t%" PRId64 " of two CUDA graphs, each compared", test->replays_done);
}

static const char *verdict(const acceptance *test) {
  if (test->mismatches > 0) return "NOT accepted";
  return test->interrupted ? "none, interrupted" : "accepted";
}

static int report(const selftest *command, const gpu_session *session) {
  const acceptance *test = &command->test;
  const int code = test->mismatches == 0 ? kExitDone : kExitCouldNot;
  const bool accepted = code == kExitDone && !test->interrupted;
  const udm_context_info *info = &session->info;
  if (command->json) {
    char arch[16];
    snprintf(arch, sizeof(arch), "sm_%d", info->device_arch);
    return output_json(
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:b}", "device", session->name, "arch", arch,
                  "image_source", udm_image_source_name(info->image_source), "cases",
                  (json_int_t)test->cases_done, "replays", (json_int_t)test->replays_done,
                  "mismatches", (json_int_t)test->mismatches, "interrupted", test->interrupted),
        code);
  }
  text_table table = TABLE_INIT;
  table_add(&table, "device\tGPU %" PRId64 ", %s, sm_%d", command->gpu, session->name,
            info->device_arch);
  table_add(&table, "image\tsm_%d from %s, %zu bytes", info->image_arch,
            udm_image_source_name(info->image_source), info->image_bytes);
  add_course(&table, test);
  table_print(&table, stdout, 0, "");
  table_free(&table);
  printf("verdict  %s%s: %" PRId64 " mismatches%s\n",
         output_escape(stdout, accepted ? kStyleGood : kStyleBad), verdict(test), test->mismatches,
         output_escape(stdout, kStylePlain));
  return code;
}

static bool parse(int argc, char **argv, selftest *command) {
  int option;
  bool good = true;
  while (good && !command->help && (option = arguments_next(argc, argv, kOptions)) != -1) {
    switch (option) {
      case kCases:
        good = arguments_number("--cases", optarg, 0, INT32_MAX, &command->test.cases);
        break;
      case kReplays:
        good = arguments_number("--replays", optarg, 0, INT32_MAX, &command->test.replays);
        break;
      case kSeed:
        good = arguments_number("--seed", optarg, 0, INT32_MAX, &command->test.seed);
        break;
      case kGpu:
        good = arguments_number("--gpu", optarg, 0, 1023, &command->gpu);
        break;
      case kCacheDir:
        command->options.cache_dir = optarg;
        break;
      case kJson:
        command->json = true;
        break;
      case kOptionHelp:
        command->help = true;
        break;
      default:
        good = false;
    }
  }
  return good && (command->help || arguments_positional(argc, argv, 0, ""));
}

static int run(selftest *command) {
  gpu_session session;
  acceptance *test = &command->test;
  interrupt_watch();
  if (!gpu_session_open(&session, &command->options, (int32_t)command->gpu, test->error,
                        sizeof(test->error))) {
    return output_fail(command->json, "no GPU can be accepted: %s", test->error);
  }
  test->options = &command->options;
  test->session = &session;
  const int code = acceptance_run(test) ? report(command, &session)
                                        : output_fail(command->json, "%s", test->error);
  gpu_session_close(&session);
  return code;
}

int selftest_main(int argc, char **argv) {
  selftest command = {.options = UDM_OPTIONS_INIT,
                      .test = {.cases = 1000, .replays = 1000, .seed = 1}};
  command.options.log = output_log;
  if (!parse(argc, argv, &command)) return kExitUsage;
  if (!command.help) return run(&command);
  fputs(kHelp, stdout);
  return kExitDone;
}
