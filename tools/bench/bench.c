/*
 * bench.c: udm bench: measures the operation on this machine beside its lower bounds and its
 * alternatives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/report/report.h"
#include "command/atomic_file.h"
#include "command/command.h"
#include "command/interrupt.h"
#include "command/output.h"
#include "command/progress.h"
#include "gpu/gpu_arguments.h"

static const char help_text[] =
    "usage: udm bench [OPTION...]\n"
    "\n"
    "Measures udm on this machine's GPU for a table of batches: the draft decode, the target\n"
    "verify, the draft extend, and the whole iteration of the three. The report has the GPU time "
    "of\n"
    "one launch as a node of a CUDA graph, with the L2 cache as it is and flushed; two lower\n"
    "bounds of the same run, which are an empty kernel with the same arguments and a plain copy\n"
    "of the same bytes; the alternatives as ratios; the host time of a call; and the time of\n"
    "udm_create in fresh processes, without and with what the driver's own cache remembers of an\n"
    "earlier start. The lower bounds need NVRTC: without NVRTC the report leaves them out.\n"
    "\n"
    "  --quick           5 replays unless --replays is given; no charts\n"
    "  --backends N      backends of the draft decode, 1 to 8 (default 3)\n"
    "  --replays N       replays of each graph; the median is reported (default 15)\n"
    "  --max-tokens N    skip workloads with more tokens\n"
    "  --html FILE       also write the result as one HTML page with charts\n"
    "  --gpu ORDINAL     device ordinal of the GPU (default 0)\n"
    "  --cache-dir DIR   the cache, instead of UDM_CACHE_DIR or ~/.cache/udm\n"
    "  --json            print one JSON object\n"
    "\n"
    "examples\n"
    "  udm bench --html bench.html\n"
    "  udm bench --quick --json >bench.json\n"
    "  udm bench --quick --backends 8\n";

enum { QUICK = GPU_OPTION_FIRST, BACKENDS, REPLAYS, MAX_TOKENS, HTML };

static const struct option long_options[] = {
    {"quick", no_argument, NULL, QUICK},
    {"backends", required_argument, NULL, BACKENDS},
    {"replays", required_argument, NULL, REPLAYS},
    {"max-tokens", required_argument, NULL, MAX_TOKENS},
    {"html", required_argument, NULL, HTML},
    GPU_ARGUMENTS_OPTIONS,
};

#define K(n) ((n)*1024)
#define M(n) ((n)*1024 * 1024)

static struct bench_row workloads[] = {
    {.shape = {"bs 1, 4k", 1, K(8), K(4), 0, 0, BENCH_DRAFT}},
    {.shape = {"bs 1, 4k", 1, K(128), K(4), 0, 0, BENCH_DRAFT}},
    {.shape = {"bs 1, 4k", 1, M(1), K(4), 0, 0, BENCH_DRAFT}},
    {.shape = {"bs 32, 4k", 32, K(8), K(4), 0, 0, BENCH_DRAFT}},
    {.shape = {"bs 32, 4k", 32, K(128), K(4), 0, 0, BENCH_DRAFT}},
    {.shape = {"bs 32, 4k", 32, M(1), K(4), 0, 0, BENCH_DRAFT}},
    {.shape = {"bs 48, 1k to 128k", 48, K(128), K(128), K(1), 0, BENCH_DRAFT}},
    {.shape = {"bs 64, 1k to 128k", 64, K(128), K(128), K(1), 0, BENCH_DRAFT}},
    {.shape = {"bs 256, 4k", 256, K(128), K(4), 0, 0, BENCH_DRAFT}},
    {.shape = {"bs 64, 128k", 64, K(128), K(128), 0, 0, BENCH_DRAFT}},
    {.shape = {"bs 8, 1M", 8, M(1), M(1), 0, 0, BENCH_DRAFT}},
    {.shape = {"bs 1, 4k, pages alone", 1, K(128), K(4), 0, BENCH_PAGES_ALONE, BENCH_DRAFT}},
    {.shape = {"bs 64, 1k to 128k, pages alone", 64, K(128), K(128), K(1), BENCH_PAGES_ALONE,
               BENCH_DRAFT}},
    {.shape = {"bs 64, 128k, pages alone", 64, K(128), K(128), 0, BENCH_PAGES_ALONE, BENCH_DRAFT}},
    {.shape = {"bs 4096, 512", 4096, K(8), 512, 0, 0, BENCH_DRAFT}},
    {.shape = {"draft with schedules, bs 1, 4k", 1, K(128), K(4), 0, 0,
               BENCH_DRAFT_WITH_SCHEDULES}},
    {.shape = {"draft with schedules, bs 64, 1k to 128k", 64, K(128), K(128), K(1), 0,
               BENCH_DRAFT_WITH_SCHEDULES}},
    {.shape = {"verify, bs 1, 4k", 1, K(128), K(4), 0, 0, BENCH_VERIFY}},
    {.shape = {"verify, bs 64, 1k to 128k", 64, K(128), K(128), K(1), 0, BENCH_VERIFY}},
    {.shape = {"verify, bs 1, 4k, pages alone", 1, K(128), K(4), 0, BENCH_PAGES_ALONE,
               BENCH_VERIFY}},
    {.shape = {"verify, bs 64, 1k to 128k, pages alone", 64, K(128), K(128), K(1),
               BENCH_PAGES_ALONE, BENCH_VERIFY}},
    {.shape = {"verify, bs 1, 4k, row per request", 1, K(128), K(4), 0, BENCH_ROW_PER_REQUEST,
               BENCH_VERIFY}},
    {.shape = {"verify, bs 64, 1k to 128k, row per request", 64, K(128), K(128), K(1),
               BENCH_ROW_PER_REQUEST, BENCH_VERIFY}},
    {.shape = {"extend, bs 1, 4k", 1, K(128), K(4), 0, 0, BENCH_EXTEND}},
    {.shape = {"extend, bs 64, 1k to 128k", 64, K(128), K(128), K(1), 0, BENCH_EXTEND}},
    {.shape = {"extend, bs 1, 4k, pages alone", 1, K(128), K(4), 0, BENCH_PAGES_ALONE,
               BENCH_EXTEND}},
    {.shape = {"extend, bs 64, 1k to 128k, pages alone", 64, K(128), K(128), K(1),
               BENCH_PAGES_ALONE, BENCH_EXTEND}},
    {.shape = {"extend, bs 1, 4k, row per request", 1, K(128), K(4), 0, BENCH_ROW_PER_REQUEST,
               BENCH_EXTEND}},
    {.shape = {"extend, bs 64, 1k to 128k, row per request", 64, K(128), K(128), K(1),
               BENCH_ROW_PER_REQUEST, BENCH_EXTEND}},
    {.shape = {"iteration, bs 1, 4k", 1, K(128), K(4), 0, 0, BENCH_ITERATION}},
    {.shape = {"iteration, bs 64, 1k to 128k", 64, K(128), K(128), K(1), 0, BENCH_ITERATION}},
    {.shape = {"iteration, bs 256, 4k", 256, K(16), K(4), 0, 0, BENCH_ITERATION}},
};
enum { WORKLOAD_COUNT = sizeof workloads / sizeof workloads[0] };

struct bench_command {
  struct gpu_arguments arguments;
  struct bench_run bench;
  struct bench_report report;
  struct progress_bar bar;
  const char *html;
  struct atomic_file page;
  int64_t max_tokens;
  bool quick;
};

/* On failure other than too little memory sets the error. */
static CUresult open_workload(struct bench_run *bench, const struct bench_shape *shape,
                              struct bench_workload *workload) {
  const CUresult result =
      bench_workload_open(workload, &bench->session, shape, (int32_t)bench->backends);
  if (result != CUDA_SUCCESS && result != CUDA_ERROR_OUT_OF_MEMORY) {
    snprintf(bench->error, sizeof bench->error, "%s cannot be prepared: %s", shape->name,
             cuda_driver_error(&bench->session.driver, result));
  }
  return result;
}

/* Skips a batch that does not fit into the GPU's memory, and keeps the reason. */
static bool measure_row(struct bench_command *command, struct bench_row *row, bool full) {
  struct bench_run *bench = &command->bench;
  struct bench_workload workload;
  if (interrupted()) {
    row->skipped = true;
    snprintf(row->reason, sizeof row->reason, "interrupted");
    return true;
  }
  if (bench_shape_tokens(&row->shape) > command->max_tokens) {
    row->skipped = true;
    snprintf(row->reason, sizeof row->reason, "more tokens than --max-tokens");
    return true;
  }
  const CUresult result = open_workload(bench, &row->shape, &workload);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    row->skipped = true;
    snprintf(row->reason, sizeof row->reason, "too little memory");
    return true;
  }
  if (result != CUDA_SUCCESS) return false;
  const bool done = bench_measure_workload(bench, &workload, full, &row->times);
  bench_workload_close(&workload);
  return done;
}

/* At batch size 1. Leaves the times as they are if the workloads are skipped or do not fit. */
static bool measure_host(struct bench_command *command) {
  static const struct bench_shape shapes[] = {
      {"draft", 1, K(8), K(4), 0, 0, BENCH_DRAFT},
      {"iteration", 1, K(8), K(4), 0, 0, BENCH_ITERATION},
  };
  struct bench_run *bench = &command->bench;
  struct bench_workload pair[2];
  if (interrupted() || bench_shape_tokens(&shapes[0]) > command->max_tokens) return true;
  for (int w = 0; w < 2; ++w) {
    const CUresult result = open_workload(bench, &shapes[w], &pair[w]);
    if (result == CUDA_SUCCESS) continue;
    if (w == 1) bench_workload_close(&pair[0]);
    return result == CUDA_ERROR_OUT_OF_MEMORY;
  }
  const bool done = bench_measure_host(bench, &pair[0], &pair[1], &command->report.host);
  bench_workload_close(&pair[0]);
  bench_workload_close(&pair[1]);
  return done;
}

static void add_point(struct bench_series *series, int32_t x, struct bench_shape shape) {
  if (series->count == BENCH_MAX_POINTS) return;
  series->x[series->count] = x;
  series->points[series->count++] = (struct bench_row){.shape = shape};
}

static void make_series(struct bench_report *report) {
  struct bench_series *batch = &report->series[0];
  struct bench_series *length = &report->series[1];
  struct bench_series *width = &report->series[2];
  *batch =
      (struct bench_series){.title = "GPU time against batch size", .axis = "rows of 4k tokens"};
  *length = (struct bench_series){.title = "GPU time against length",
                                  .axis = "tokens of each of 32 rows"};
  *width = (struct bench_series){.title = "GPU time against width",
                                 .axis = "width of the tables, 32 rows of 4k tokens"};
  for (int32_t rows = 1; rows <= 1024; rows *= 2) {
    add_point(batch, rows, (struct bench_shape){"batch size", rows, K(8), K(4), 0, 0, BENCH_DRAFT});
  }
  for (int32_t tokens = 256; tokens <= K(128); tokens *= 2) {
    add_point(length, tokens,
              (struct bench_shape){"length", 32, K(128), tokens, 0, 0, BENCH_DRAFT});
  }
  for (int32_t columns = K(4); columns <= M(1); columns *= 2) {
    add_point(width, columns, (struct bench_shape){"width", 32, columns, K(4), 0, 0, BENCH_DRAFT});
  }
  report->series_count = BENCH_SERIES;
}

static bool measure_all(struct bench_command *command) {
  struct bench_report *report = &command->report;
  int64_t done = 0;
  int64_t total = WORKLOAD_COUNT;
  for (size_t s = 0; s < report->series_count; ++s) total += (int64_t)report->series[s].count;
  progress_start(&command->bar, "measuring", total);
  bool good = bench_measure_empty(&command->bench) && measure_host(command);
  for (size_t i = 0; i < WORKLOAD_COUNT && good; ++i) {
    good = measure_row(command, &workloads[i], true);
    progress_update(&command->bar, ++done);
  }
  for (size_t s = 0; s < report->series_count && good; ++s) {
    for (size_t p = 0; p < report->series[s].count && good; ++p) {
      good = measure_row(command, &report->series[s].points[p], false);
      progress_update(&command->bar, ++done);
    }
  }
  progress_finish(&command->bar);
  return good;
}

/*
 * Checked before minutes of measuring, not after. The file does not stay open, because a killed run
 * would leave a temporary file behind.
 */
static bool page_can_be_written(struct bench_command *command) {
  struct atomic_file *file = &command->page;
  if (!command->html) return true;
  const bool opened = atomic_file_open(file, command->html, false);
  if (opened) atomic_file_discard(file);
  return opened;
}

/* On failure returns false, sets command->page.error and leaves an older page as it was. */
static bool write_page(struct bench_command *command) {
  struct atomic_file *file = &command->page;
  char *text = NULL;
  size_t size = 0;
  FILE *memory = open_memstream(&text, &size);
  bool written = false;
  if (!memory) {
    snprintf(file->error, sizeof file->error, "cannot write %s: out of memory", command->html);
    return false;
  }
  bench_print_page(&command->report, memory);
  if (fclose(memory) != 0) {
    snprintf(file->error, sizeof file->error, "cannot write %s: out of memory", command->html);
  } else if (atomic_file_open(file, command->html, false)) {
    written = atomic_file_write(file, text, size) && atomic_file_keep(file);
    atomic_file_discard(file);
  }
  free(text);
  return written;
}

/* Prints the result even if the page cannot be written. */
static int report_result(struct bench_command *command) {
  const bool failed = command->html && !write_page(command);
  const int code = failed ? EXIT_COULD_NOT : EXIT_DONE;
  int exit_code = code;
  if (command->arguments.json) {
    exit_code = output_json(bench_to_json(&command->report), code);
  } else {
    bench_print_text(&command->report, stdout);
  }
  fflush(stdout); /* the error comes last */
  if (failed) output_error("%s", command->page.error);
  return exit_code;
}

static int run(struct bench_command *command) {
  struct bench_run *bench = &command->bench;
  struct bench_report *report = &command->report;
  interrupt_watch();
  if (!page_can_be_written(command)) {
    return output_fail(command->arguments.json, "%s", command->page.error);
  }
  bench_measure_create(&command->arguments.options, command->arguments.gpu,
                       command->quick ? 1 : BENCH_MAX_CREATES, &command->bar, &report->create);
  if (!gpu_session_open(&bench->session, &command->arguments.options, command->arguments.gpu,
                        bench->error, sizeof bench->error)) {
    return output_fail(command->arguments.json, "nothing can be measured: %s", bench->error);
  }
  bench->has_lower_bounds =
      lower_bounds_open(&bench->lower_bounds, &bench->session, &command->arguments.options,
                        bench->lower_bounds_missing, sizeof bench->lower_bounds_missing);
  bench_machine_look(&report->machine, &command->arguments.options);
  report->bench = bench;
  report->rows = workloads;
  report->row_count = WORKLOAD_COUNT;
  report->host = (struct bench_host_times){-1, -1, -1, -1, -1, -1};
  if (!command->quick) make_series(report);
  const bool done = measure_all(command);
  const int code =
      done ? report_result(command) : output_fail(command->arguments.json, "%s", bench->error);
  lower_bounds_close(&bench->lower_bounds, &bench->session);
  gpu_session_close(&bench->session);
  return code;
}

static bool take_option(void *user_data, int option, const char *value) {
  struct bench_command *command = user_data;
  switch (option) {
    case QUICK:
      command->quick = true;
      return true;
    case BACKENDS:
      return arguments_number("--backends", value, 1, UDM_MAX_BACKENDS, &command->bench.backends);
    case REPLAYS:
      return arguments_number("--replays", value, 1, 100000, &command->bench.replays);
    case MAX_TOKENS:
      return arguments_number("--max-tokens", value, 1, INT32_MAX, &command->max_tokens);
    case HTML:
      command->html = value;
      return true;
    default:
      return false;
  }
}

int bench_main(int argc, char **argv) {
  static struct bench_command command = {.bench = {.backends = 3}, .max_tokens = INT32_MAX};
  if (!gpu_arguments_read(&command.arguments, argc, argv, long_options, take_option, &command)) {
    return EXIT_USAGE;
  }
  if (command.bench.replays == 0) command.bench.replays = command.quick ? 5 : 15;
  if (!command.arguments.help) return run(&command);
  fputs(help_text, stdout);
  return EXIT_DONE;
}
