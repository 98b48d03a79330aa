/*
 * replay.c: udm replay: the main job on real input.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "command/arguments.h"
#include "command/command.h"
#include "command/interrupt.h"
#include "command/output.h"
#include "replay/device/device.h"
#include "replay/trace/trace.h"
#include "report.h"
#include "run.h"

static const char help_text[] =
    "usage: udm replay TRACE [OPTION...]\n"
    "\n"
    "Runs a request trace as a server would, with continuous batching, a paged KV allocator\n"
    "and speculative decoding. A step is a whole iteration of three udm calls: draft decode\n"
    "for all draft backends, target verify, and draft extend with the accepted tokens.\n"
    "Arrival times are ignored: requests join in order as soon as a batch slot and KV pages\n"
    "are free. Requests with 0 output tokens failed: they are counted and skipped.\n"
    "\n"
    "trace\n"
    "  TRACE is CSV with a header or JSON lines, plain, gzip or zstd; - is standard input.\n"
    "  Two columns or fields are read, and all others are ignored:\n"
    "    input_length, output_length              Mooncake, Dynamo, Qwen-Bailian\n"
    "    ContextTokens, GeneratedTokens           Azure\n"
    "    'Request tokens', 'Response tokens'      BurstGPT\n"
    "    num_prefill_tokens, num_decode_tokens    Vidur\n"
    "    input_lens, output_lens                  benchmarks of vLLM (--save-detailed) and\n"
    "                                             SGLang (--output-details)\n"
    "    prompt_tokens, completion_tokens         OpenAI, also within usage\n"
    "    input_tokens, output_tokens              OpenAI Responses, Anthropic, likewise\n"
    "\n"
    "device\n"
    "  --device auto|gpu|cpu    auto: the GPU if there is one, else the C reference (default "
    "auto)\n"
    "  --gpu ORDINAL            device ordinal of the GPU (default 0)\n"
    "  --cache-dir DIR          the cache, instead of UDM_CACHE_DIR or ~/.cache/udm\n"
    "load\n"
    "  --max-batch N            concurrent requests (default 64)\n"
    "  --max-context N          reject longer requests (default: the longest of the trace)\n"
    "  --pool-tokens N          size of the KV pool (default: max-batch average requests)\n"
    "  --draft-tokens N         a step verifies 1+N tokens per request and accepts 1 to 1+N\n"
    "                           (default 3)\n"
    "  --steps N                steps of the server; 0: once through the trace (default 2000)\n"
    "  --seed N                 random seed of the accepted tokens (default 1)\n"
    "step\n"
    "  --mode step|decode       the whole iteration, or draft decode alone, without\n"
    "                           cu_seqlens_q, context lengths and schedules (default step)\n"
    "  --extend ragged|static   draft extend reads the accepted tokens of a request, or all\n"
    "                           1+N that were verified (default ragged)\n"
    "  --schedule sm90|sm100    variant of the DeepGEMM schedules (default sm90)\n"
    "  --schedule-rows token|request\n"
    "                           a row of a schedule, and its context length, belong to a\n"
    "                           query token or to a request; a ragged extend has tokens\n"
    "                           (default token)\n"
    "call\n"
    "  --backends N             draft backends, 1 to 8 (default 3)\n"
    "  --page-size P            tokens per KV page (default 64)\n"
    "  --topk K                 nsa_index_topk (default 2048)\n"
    "  --extent row|batch-max   which columns of the page tables to write (default row)\n"
    "  --entry direct|table     output pointers as kernel arguments or in device memory\n"
    "                           (default direct)\n"
    "  --max-len N              tokens per page-table row; lengths are not cut\n"
    "                           (default: max-context and what a step verifies)\n"
    "  --seq-lens-type int32|int64          also of extend_lens (default int32)\n"
    "  --req-pool-indices-type int32|int64  (default int64)\n"
    "  --no-page-table-1        pass a null page_table_1: it is not written\n"
    "result\n"
    "  --check                  compare every element of every step with the allocator's\n"
    "                           books and look for stray writes; exit 1 on a mismatch\n"
    "  --json                   print one JSON object\n"
    "\n"
    "examples\n"
    "  udm replay trace.jsonl --check\n"
    "  udm replay trace.csv --device cpu --check --max-batch 256\n"
    "  udm replay trace.csv --check --extend static --schedule sm100 --schedule-rows request\n"
    "  udm replay trace.csv.gz --device gpu --steps 0 --json\n"
    "  head -n 1000 trace.jsonl | udm replay - --check\n";

enum device_choice { DEVICE_AUTO, DEVICE_GPU, DEVICE_CPU };

struct replay_command {
  const char *trace_path;
  struct replay_options options;
  udm_options udm;
  enum device_choice device;
  int32_t gpu; /* -1: not given, then 0 */
  bool json;
  bool help;
};

enum {
  DEVICE = OPTION_FIRST,
  GPU,
  CACHE_DIR,
  MAX_BATCH,
  MAX_CONTEXT,
  POOL_TOKENS,
  DRAFT_TOKENS,
  STEPS,
  SEED,
  MODE,
  EXTEND,
  SCHEDULE,
  SCHEDULE_ROWS,
  BACKENDS,
  TOKENS_PER_PAGE,
  TOPK,
  EXTENT,
  ENTRY,
  MAX_LEN,
  SEQ_LENS_TYPE,
  REQ_POOL_INDICES_TYPE,
  NO_PAGE_TABLE_1,
  CHECK,
  JSON
};

static const struct option long_options[] = {
    {"device", required_argument, NULL, DEVICE},
    {"gpu", required_argument, NULL, GPU},
    {"cache-dir", required_argument, NULL, CACHE_DIR},
    {"max-batch", required_argument, NULL, MAX_BATCH},
    {"max-context", required_argument, NULL, MAX_CONTEXT},
    {"pool-tokens", required_argument, NULL, POOL_TOKENS},
    {"draft-tokens", required_argument, NULL, DRAFT_TOKENS},
    {"steps", required_argument, NULL, STEPS},
    {"seed", required_argument, NULL, SEED},
    {"mode", required_argument, NULL, MODE},
    {"extend", required_argument, NULL, EXTEND},
    {"schedule", required_argument, NULL, SCHEDULE},
    {"schedule-rows", required_argument, NULL, SCHEDULE_ROWS},
    {"backends", required_argument, NULL, BACKENDS},
    {"page-size", required_argument, NULL, TOKENS_PER_PAGE},
    {"topk", required_argument, NULL, TOPK},
    {"extent", required_argument, NULL, EXTENT},
    {"entry", required_argument, NULL, ENTRY},
    {"max-len", required_argument, NULL, MAX_LEN},
    {"seq-lens-type", required_argument, NULL, SEQ_LENS_TYPE},
    {"req-pool-indices-type", required_argument, NULL, REQ_POOL_INDICES_TYPE},
    {"no-page-table-1", no_argument, NULL, NO_PAGE_TABLE_1},
    {"check", no_argument, NULL, CHECK},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* The options that are an int32 in a range. */
struct number_option {
  int option;
  const char *name;
  int32_t least;
  int32_t most;
  size_t offset; /* in replay_command */
};

static const struct number_option number_options[] = {
    {GPU, "--gpu", 0, 1023, offsetof(struct replay_command, gpu)},
    {MAX_BATCH, "--max-batch", 1, 65536, offsetof(struct replay_command, options.max_batch)},
    {MAX_CONTEXT, "--max-context", 1, INT32_MAX - 65536,
     offsetof(struct replay_command, options.max_context)},
    {DRAFT_TOKENS, "--draft-tokens", 0, 1024,
     offsetof(struct replay_command, options.draft_tokens)},
    {BACKENDS, "--backends", 1, UDM_MAX_BACKENDS,
     offsetof(struct replay_command, options.num_backends)},
    {TOKENS_PER_PAGE, "--page-size", 1, 65536, offsetof(struct replay_command, options.page_size)},
    {MAX_LEN, "--max-len", 0, INT32_MAX, offsetof(struct replay_command, options.max_len)},
    {TOPK, "--topk", 0, INT32_MAX, offsetof(struct replay_command, options.nsa_index_topk)},
};

static bool set_number(struct replay_command *command, int option, const char *text) {
  for (size_t i = 0; i < sizeof number_options / sizeof number_options[0]; ++i) {
    const struct number_option *number = &number_options[i];
    if (number->option != option) continue;
    int64_t value = 0;
    if (!arguments_number(number->name, text, number->least, number->most, &value)) return false;
    const int32_t narrow = (int32_t)value;
    memcpy((char *)command + number->offset, &narrow, sizeof narrow);
    return true;
  }
  return false;
}

/* The options that are a choice of words; a choice's place is its value. */
struct choice_option {
  int option;
  const char *name;
  const char *choices[4]; /* ends with NULL */
};

static const struct choice_option choice_options[] = {
    {DEVICE, "--device", {"auto", "gpu", "cpu"}},
    {MODE, "--mode", {"step", "decode"}},
    {EXTEND, "--extend", {"ragged", "static"}},
    {SCHEDULE, "--schedule", {"sm90", "sm100"}},
    {SCHEDULE_ROWS, "--schedule-rows", {"token", "request"}},
    {EXTENT, "--extent", {"row", "batch-max"}},
    {ENTRY, "--entry", {"direct", "table"}},
    {SEQ_LENS_TYPE, "--seq-lens-type", {"int32", "int64"}},
    {REQ_POOL_INDICES_TYPE, "--req-pool-indices-type", {"int32", "int64"}},
};

static void take_choice(struct replay_command *command, int option, int choice) {
  switch (option) {
    case DEVICE:
      command->device = (enum device_choice)choice;
      break;
    case MODE:
      command->options.whole_step = choice == 0;
      break;
    case EXTEND:
      command->options.static_extend = choice == 1;
      break;
    case SCHEDULE:
      command->options.schedule = choice == 0 ? UDM_SCHEDULE_SM90 : UDM_SCHEDULE_SM100;
      break;
    case SCHEDULE_ROWS:
      command->options.schedule_requests = choice == 1;
      break;
    case EXTENT:
      command->options.extent = (udm_extent)choice;
      break;
    case ENTRY:
      command->options.table = choice == 1;
      break;
    case SEQ_LENS_TYPE:
      command->options.seq_lens_type = (udm_int_type)choice;
      break;
    default:
      command->options.req_pool_indices_type = (udm_int_type)choice;
  }
}

static bool set_choice(struct replay_command *command, int option, const char *text) {
  size_t i = 0;
  while (choice_options[i].option != option) ++i;
  const int choice = arguments_choice(choice_options[i].name, text, choice_options[i].choices);
  if (choice >= 0) take_choice(command, option, choice);
  return choice >= 0;
}

static bool set_option(struct replay_command *command, int option, const char *text) {
  int64_t seed = 0;
  switch (option) {
    case OPTION_HELP:
      command->help = true;
      return true;
    case JSON:
      command->json = true;
      return true;
    case CHECK:
      command->options.check = true;
      return true;
    case NO_PAGE_TABLE_1:
      command->options.no_page_table_1 = true;
      return true;
    case CACHE_DIR:
      command->udm.cache_dir = text;
      return true;
    case STEPS:
      return arguments_number("--steps", text, 0, INT32_MAX, &command->options.steps);
    case POOL_TOKENS:
      return arguments_number("--pool-tokens", text, 1, INT32_MAX, &command->options.pool_tokens);
    case SEED:
      if (!arguments_number("--seed", text, 0, INT64_MAX, &seed)) return false;
      command->options.seed = (uint64_t)seed;
      return true;
    case DEVICE:
    case MODE:
    case EXTEND:
    case SCHEDULE:
    case SCHEDULE_ROWS:
    case EXTENT:
    case ENTRY:
    case SEQ_LENS_TYPE:
    case REQ_POOL_INDICES_TYPE:
      return set_choice(command, option, text);
    default:
      return set_number(command, option, text);
  }
}

static bool parse(int argc, char **argv, struct replay_command *command) {
  int option;
  while ((option = arguments_next(argc, argv, long_options)) != -1) {
    if (option == '?' || !set_option(command, option, optarg)) return false;
    if (command->help) return true;
  }
  if (!arguments_positional(argc, argv, 1, "TRACE")) return false;
  command->trace_path = argv[optind];
  return true;
}

/* A GPU that is there but does not work must not be passed over in silence. */
static bool has_device(const udm_options *options) {
  udm_driver_info driver = {.struct_size = sizeof driver};
  const udm_status status = udm_query_driver(options, &driver);
  return status == UDM_OK ? driver.device_count > 0 : status != UDM_ERROR_NO_DRIVER;
}

/* note says why an automatic choice fell on the CPU: there is no driver, or no device. */
static struct replay_device *choose_device(const struct replay_command *command, const char **note,
                                           char *error, size_t size) {
  if (command->device != DEVICE_CPU) {
    struct replay_device *gpu =
        device_gpu_create(&command->udm, command->gpu < 0 ? 0 : command->gpu, error, size);
    if (gpu) return gpu;
    if (command->device == DEVICE_GPU || command->gpu >= 0 || has_device(&command->udm)) {
      const size_t used = strlen(error);
      snprintf(error + used, size - used, "; --device cpu runs the C reference instead");
      return NULL;
    }
    output_error("no GPU can be used, so the CPU reference runs: %s", error);
    *note = "no GPU can be used";
  }
  struct replay_device *cpu = device_cpu_create();
  if (!cpu) snprintf(error, size, "out of memory");
  return cpu;
}

static int print_report(const struct replay_command *command, const struct replay_report *report) {
  const struct mismatch_log *mismatches = &report->result->mismatches;
  const int code = mismatches->count == 0 ? EXIT_DONE : EXIT_COULD_NOT;
  replay_report_mismatches(mismatches);
  if (command->json) return output_json(replay_report_json(report), code);
  replay_report_print(report);
  return code;
}

static int run(const struct replay_command *command) {
  char error[DEVICE_ERROR_SIZE] = "";
  const char *note = "";
  struct request_trace trace = TRACE_INIT;
  struct replay_device *device = NULL;
  struct replay_result result;
  int code = EXIT_COULD_NOT;
  if (!trace_read(command->trace_path, &trace, error, sizeof error)) goto failed;
  interrupt_watch(); /* not before: a signal ends the wait for standard input */
  device = choose_device(command, &note, error, sizeof error);
  if (!device) goto failed;
  if (!replay_run(&trace, &command->options, device, &result, error, sizeof error)) {
    replay_report_mismatches(&result.mismatches); /* they may explain what failed */
    goto failed;
  }
  code = print_report(command, &(struct replay_report){command->trace_path, &trace,
                                                       &command->options, device, note, &result});
  goto cleanup;

failed:
  code = output_fail(command->json, "%s", error);

cleanup:
  if (device) device->operations->destroy(device);
  trace_free(&trace);
  return code;
}

int replay_main(int argc, char **argv) {
  struct replay_command command = {
      .options = {.max_batch = 64,
                  .page_size = 64,
                  .draft_tokens = 3,
                  .whole_step = true,
                  .schedule = UDM_SCHEDULE_SM90,
                  .num_backends = 3,
                  .nsa_index_topk = 2048,
                  .steps = 2000,
                  .seed = 1,
                  .max_len = -1,
                  .req_pool_indices_type = UDM_INT64},
      .udm = UDM_OPTIONS_INIT,
      .gpu = -1,
  };
  command.udm.log = output_log;
  if (!parse(argc, argv, &command)) return EXIT_USAGE;
  if (!command.help) return run(&command);
  fputs(help_text, stdout);
  return EXIT_DONE;
}
