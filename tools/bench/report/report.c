/*
 * report.c: the result of the bench as text and as JSON: see report.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report.h"

#include <inttypes.h>

#include "command/interrupt.h"
#include "command/output.h"
#include "command/text_table.h"

enum { CELL = 24 };

static const char phase_note[] =
    "  verify and extend: one backend, 4 query tokens per request; iteration: a draft, a verify "
    "and\n"
    "  an extend, each with schedules and context lengths: three nodes\n";

/* Pages alone: the slots that the kernel reads are 256 bytes apart, and memory comes in 32-byte
 * sectors. */
static const char copy_note[] =
    "  copy: reads the bytes of page_table_1 once and writes them once per backend and equal row;\n"
    "  for pages only, copies the bytes of real_page_table: less traffic than the kernel's, which\n"
    "  must read one slot per page\n";

static const char *number(char *text, double value) {
  if (value < 0) return "-";
  snprintf(text, CELL, "%.2f", value);
  return text;
}

static const char *ratio(char *text, double value, double of) {
  if (value < 0 || of <= 0) return "-";
  snprintf(text, CELL, "%.2fx", value / of);
  return text;
}

static void add_row(struct text_table *table, const struct bench_row *row) {
  char cells[5][CELL];
  const struct bench_times *times = &row->times;
  if (row->skipped) return;
  table_add(table, "%s\t%" PRId32 "\t%s\t%s\t%s\t%s\t%s", row->shape.name, row->shape.width,
            number(cells[0], times->direct), number(cells[1], times->direct_flushed),
            number(cells[2], times->copy), number(cells[3], times->copy_flushed),
            ratio(cells[4], times->direct, times->copy));
}

static void print_workloads(const struct bench_report *report, FILE *file) {
  struct text_table table = TABLE_INIT;
  fprintf(file,
          "\nGPU time of one graph node, us (flushed: a sweep of the L2 cache ran before each)\n");
  table_add(&table, "workload\twidth\tudm\tflushed\tcopy\tflushed\tudm/copy");
  for (size_t i = 0; i < report->row_count; ++i) add_row(&table, &report->rows[i]);
  table_print(&table, file, 2, "lrrrrrr");
  table_free(&table);
  fputs(phase_note, file);
  if (report->bench->has_lower_bounds) fputs(copy_note, file);
  for (size_t i = 0; i < report->row_count; ++i) {
    const struct bench_row *row = &report->rows[i];
    if (!row->skipped) continue;
    fprintf(file, "  skipped: %s, width %" PRId32 ": %s\n", row->shape.name, row->shape.width,
            row->reason);
  }
}

static void print_alternatives(const struct bench_report *report, FILE *file) {
  struct text_table table = TABLE_INIT;
  fprintf(file, "\nThe alternatives' GPU time, as ratios to the direct call\n");
  table_add(&table, "workload\twidth\tpointer table\twith pointer copy\tlaunch per backend");
  for (size_t i = 0; i < report->row_count; ++i) {
    const struct bench_row *row = &report->rows[i];
    const struct bench_times *times = &row->times;
    char cells[3][CELL];
    if (row->skipped || times->table < 0) continue;
    table_add(&table, "%s\t%" PRId32 "\t%s\t%s\t%s", row->shape.name, row->shape.width,
              ratio(cells[0], times->table, times->direct),
              ratio(cells[1], times->table_with_copy, times->direct),
              ratio(cells[2], times->each_backend, times->direct));
  }
  table_print(&table, file, 2, "lrrrr");
  table_free(&table);
}

static void print_host(const struct bench_report *report, FILE *file) {
  const struct bench_host_times *host = &report->host;
  const double times[] = {host->empty,           host->direct,       host->table,
                          host->table_with_copy, host->each_backend, host->iteration};
  static const char *const names[] = {"cuLaunchKernel, empty kernel, same arguments",
                                      "direct call",
                                      "pointer-table call",
                                      "pointer-table call with a copy of the pointers",
                                      "one launch per backend",
                                      "iteration: draft, verify and extend"};
  struct text_table table = TABLE_INIT;
  fprintf(file, "\nHost time of one call, us\n");
  table_add(&table, "call\tus\tof raw");
  for (size_t i = 0; i < sizeof times / sizeof times[0]; ++i) {
    char cells[2][CELL];
    table_add(&table, "%s\t%s\t%s", names[i], number(cells[0], times[i]),
              ratio(cells[1], times[i], host->empty));
  }
  table_print(&table, file, 2, "lrr");
  table_free(&table);
}

static void print_create(const struct bench_report *report, FILE *file) {
  const struct bench_create_times *create = &report->create;
  struct text_table table = TABLE_INIT;
  char cells[5][CELL];
  fprintf(file, "\nThe first udm_create of a process, ms (median of %d)\n", create->repetitions);
  table_add(&table, "start\tno driver's cache\twith driver's cache");
  table_add(&table, "cold: NVRTC compiles\t%s\t%s", number(cells[0], create->cold),
            number(cells[1], create->cold_driver_cache));
  table_add(&table, "cold: the shipped PTX\t%s\t%s", number(cells[2], create->ptx),
            number(cells[3], create->ptx_driver_cache));
  table_add(&table, "warm: from udm's cache\t%s\t-", number(cells[4], create->warm));
  table_print(&table, file, 2, "lrr");
  table_free(&table);
  fputs(
      "  driver's cache: ~/.nv/ComputeCache, here with the result of an earlier start; a fresh\n"
      "  machine or container has none\n",
      file);
  if (create->note[0]) fprintf(file, "  not measured: %s\n", create->note);
}

static void print_machine(const struct bench_report *report, FILE *file) {
  const struct gpu_session *session = &report->bench->session;
  const struct bench_machine *machine = &report->machine;
  const udm_context_info *info = &session->info;
  fprintf(file, "device   %s, sm_%d, %d multiprocessors\n", session->name, (int)info->device_arch,
          (int)info->multiprocessor_count);
  fprintf(file, "driver   CUDA %s\n", machine->driver[0] ? machine->driver : "unknown");
  fprintf(file, "NVRTC    %s\n", machine->nvrtc[0] ? machine->nvrtc : "none");
  fprintf(file, "host     %s\n", machine->host_cpu[0] ? machine->host_cpu : "unknown CPU");
  fprintf(file, "date     %s\n", machine->date);
  fprintf(file, "udm      %s\n", udm_version_string());
  fprintf(file, "image    sm_%d from %s, %zu bytes\n", (int)info->image_arch,
          udm_image_source_name(info->image_source), info->image_bytes);
}

void bench_print_text(const struct bench_report *report, FILE *file) {
  const struct bench_run *bench = report->bench;
  char cell[CELL];
  print_machine(report, file);
  fprintf(file,
          "method   median of %" PRId64
          " replays of %d nodes; %d %s, page size %d, "
          "top-k %d, row extent\n",
          bench->replays, BENCH_NODES, (int)bench->backends,
          bench->backends == 1 ? "backend" : "backends", BENCH_PAGE_SIZE, BENCH_TOPK);
  fprintf(file, "floor    an empty kernel with the same arguments: %s us per node\n",
          number(cell, bench->empty_node));
  if (!bench->has_lower_bounds)
    fprintf(file, "bounds   not measured: %s\n", bench->lower_bounds_missing);
  print_workloads(report, file);
  print_alternatives(report, file);
  print_host(report, file);
  print_create(report, file);
}

/* JSON null: not measured. */
static json_t *json_time(double value) { return value < 0 ? json_null() : json_real(value); }

static json_t *row_to_json(const struct bench_row *row) {
  static const char *const phases[] = {
      [BENCH_DRAFT] = "draft_decode",
      [BENCH_DRAFT_WITH_SCHEDULES] = "draft_decode_with_schedules",
      [BENCH_VERIFY] = "target_verify",
      [BENCH_EXTEND] = "draft_extend",
      [BENCH_ITERATION] = "iteration",
  };
  const struct bench_shape *shape = &row->shape;
  const struct bench_times *times = &row->times;
  const bool pages_alone = shape->options & BENCH_PAGES_ALONE;
  json_t *object = json_pack(
      "{s:s, s:s, s:i, s:i, s:i, s:i, s:b, s:b, s:I}", "work", shape->name, "phase",
      phases[shape->phase], "batch_size", shape->batch_size, "width", shape->width, "length",
      shape->length, "shortest", shape->shortest ? shape->shortest : shape->length, "page_table_1",
      !pages_alone, "row_per_request", (shape->options & BENCH_ROW_PER_REQUEST) != 0, "tokens",
      (json_int_t)bench_shape_tokens(shape));
  if (row->skipped) {
    json_object_set_new(object, "skipped", json_string(row->reason));
    return object;
  }
  json_object_set_new(object, "direct_us", json_time(times->direct));
  json_object_set_new(object, "direct_flushed_us", json_time(times->direct_flushed));
  json_object_set_new(object, "copy_us", json_time(times->copy));
  json_object_set_new(object, "copy_flushed_us", json_time(times->copy_flushed));
  json_object_set_new(object, "table_us", json_time(times->table));
  json_object_set_new(object, "table_with_copy_us", json_time(times->table_with_copy));
  json_object_set_new(object, "each_backend_us", json_time(times->each_backend));
  json_object_set_new(object, "copy_of",
                      json_string(pages_alone ? "real_page_table" : "page_table_1"));
  return object;
}

static json_t *series_to_json(const struct bench_series *series) {
  json_t *points = json_array();
  for (size_t i = 0; i < series->count; ++i) {
    json_array_append_new(points, row_to_json(&series->points[i]));
  }
  return json_pack("{s:s, s:s, s:o}", "title", series->title, "axis", series->axis, "points",
                   points);
}

/* JSON null: unknown. */
static json_t *json_fact(const char *text) { return text[0] ? output_text(text) : json_null(); }

static void add_machine(json_t *object, const struct bench_report *report) {
  const udm_context_info *info = &report->bench->session.info;
  const struct bench_machine *machine = &report->machine;
  json_object_set_new(object, "date", json_fact(machine->date));
  json_object_set_new(object, "driver_cuda", json_fact(machine->driver));
  json_object_set_new(object, "nvrtc", json_fact(machine->nvrtc));
  json_object_set_new(object, "host_cpu", json_fact(machine->host_cpu));
  json_object_set_new(
      object, "image",
      json_pack("{s:i, s:s, s:I}", "arch", (int)info->image_arch, "source",
                udm_image_source_name(info->image_source), "bytes", (json_int_t)info->image_bytes));
}

json_t *bench_to_json(const struct bench_report *report) {
  const struct bench_run *bench = report->bench;
  const struct bench_host_times *host = &report->host;
  json_t *workload_list = json_array();
  json_t *series = json_array();
  for (size_t i = 0; i < report->row_count; ++i) {
    json_array_append_new(workload_list, row_to_json(&report->rows[i]));
  }
  for (size_t i = 0; i < report->series_count; ++i) {
    json_array_append_new(series, series_to_json(&report->series[i]));
  }
  json_t *host_object =
      json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "empty_us", json_time(host->empty), "direct_us",
                json_time(host->direct), "table_us", json_time(host->table), "table_with_copy_us",
                json_time(host->table_with_copy), "each_backend_us", json_time(host->each_backend),
                "iteration_us", json_time(host->iteration));
  const struct bench_create_times *times = &report->create;
  json_t *create = json_pack("{s:o, s:o, s:o, s:o, s:o}", "cold_ms", json_time(times->cold),
                             "cold_driver_cache_ms", json_time(times->cold_driver_cache), "warm_ms",
                             json_time(times->warm), "ptx_ms", json_time(times->ptx),
                             "ptx_driver_cache_ms", json_time(times->ptx_driver_cache));
  json_t *object = json_pack(
      "{s:s, s:i, s:i, s:s, s:I, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:b}",
      "device", bench->session.name, "arch", bench->session.info.device_arch, "multiprocessors",
      bench->session.info.multiprocessor_count, "udm", udm_version_string(), "replays",
      (json_int_t)bench->replays, "nodes", BENCH_NODES, "backends", (int)bench->backends,
      "page_size", BENCH_PAGE_SIZE, "topk", BENCH_TOPK, "tokens_per_request", BENCH_TOKENS,
      "floors_missing", output_text(bench->has_lower_bounds ? "" : bench->lower_bounds_missing),
      "empty_node_us", json_time(bench->empty_node), "works", workload_list, "host", host_object,
      "create", create, "series", series, "interrupted", interrupted());
  add_machine(object, report);
  return object;
}
