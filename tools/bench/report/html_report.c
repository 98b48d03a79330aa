/*
 * html_report.c: the result of the bench as one HTML page. It fetches nothing, has no script, and
 * is readable on a phone and in the dark. chart.h draws the charts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <math.h>

#include "chart.h"
#include "command/interrupt.h"
#include "html.h"
#include "report.h"

static const char page_head[] =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>udm bench</title>\n<style>\n"
    ":root{color-scheme:light dark;--ink:#1c2733;--dim:#596675;--line:#d5dbe1;--a:#1667c7;"
    "--b:#b4590b;--back:#fff}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e9ee;--dim:#9aa7b4;--line:#37424d;"
    "--a:#6db1ff;--b:#ffa657;--back:#12181e}}\n"
    "body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);"
    "max-width:60rem;margin:0 auto;padding:.75rem;overflow-wrap:break-word}\n"
    "h1{font-size:1.3rem;line-height:1.3}h2{font-size:1.05rem;margin:1.75rem 0 .5rem}\n"
    "p{margin:.5rem 0}.dim,small{color:var(--dim)}\n"
    ".notice{border-left:4px solid var(--b);padding:.25rem .75rem}\n"
    /* side by side if there is room */
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));"
    "gap:0 1.5rem}section{min-width:0}\n"
    "svg{display:block;width:100%;height:auto}svg text{fill:var(--dim);font-size:13px}\n"
    "svg .v{fill:var(--ink);font-weight:600;stroke:var(--back);stroke-width:3px;"
    "paint-order:stroke}\n"
    ".grid{stroke:var(--line)}.a,.b,.c{fill:none;stroke-width:2}.a{stroke:var(--a)}"
    ".b{stroke:var(--b);stroke-dasharray:5 4}.c{stroke:var(--dim);stroke-dasharray:1 4}"
    ".da{fill:var(--a)}\n"
    ".key{font-size:.875rem}.key span{white-space:nowrap;margin-right:1rem}.key "
    "i{display:inline-block;width:1.75rem;"
    "margin-right:.4rem;vertical-align:middle;border-top:2px solid var(--a)}"
    ".key .kb{border-top:2px dashed var(--b)}\n"
    "summary{padding:.4rem 0;cursor:pointer}\n"
    ".scroll{overflow-x:auto}"
    "table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}\n"
    "td,th{padding:.3rem .5rem;border-bottom:1px solid var(--line);text-align:right;"
    "vertical-align:top}td{white-space:nowrap}th{vertical-align:bottom}\n"
    "td:first-child,th:first-child{text-align:left;padding-left:0}small{display:block}\n"
    /* the first column stays in sight, and leaves room for the others */
    ".scroll td:first-child,.scroll th:first-child{position:sticky;left:0;"
    "background:var(--back);white-space:normal;min-width:6.5rem;max-width:7.5rem}\n"
    "td.why{text-align:left;color:var(--dim)}"
    ".facts td{text-align:left;white-space:normal}.facts "
    "th{font-weight:400;color:var(--dim);vertical-align:top}\n"
    ".bar p{margin:.6rem 0 .15rem}.bar i{display:block;height:.75rem;min-width:2px;"
    "border-radius:3px;background:var(--a)}.bar .raw{background:var(--b)}\n</style>\n";

static void put_fact(FILE *file, const char *name, const char *text) {
  fprintf(file, "<tr><th>%s<td>", name);
  html_text(file, text);
  fputs("</tr>\n", file);
}

static void put_facts(FILE *file, const struct bench_report *report) {
  const struct bench_run *bench = report->bench;
  const struct bench_machine *machine = &report->machine;
  const udm_context_info *info = &bench->session.info;
  fprintf(file, "<table class=\"facts\">\n<tr><th>device<td>sm_%d, %d multiprocessors</tr>\n",
          (int)info->device_arch, (int)info->multiprocessor_count);
  fprintf(file, "<tr><th>driver<td>CUDA %s</tr>\n",
          machine->driver[0] ? machine->driver : "unknown");
  put_fact(file, "NVRTC", machine->nvrtc[0] ? machine->nvrtc : "none");
  put_fact(file, "host", machine->host_cpu[0] ? machine->host_cpu : "unknown CPU");
  put_fact(file, "date", machine->date);
  put_fact(file, "udm", udm_version_string());
  fprintf(file, "<tr><th>image<td>sm_%d from %s, %zu bytes</tr>\n", (int)info->image_arch,
          udm_image_source_name(info->image_source), info->image_bytes);
  fprintf(file,
          "<tr><th>method<td>median of %" PRId64
          " replays of %d nodes; %d %s, page size %d, top-k %d, row extent</tr>\n",
          bench->replays, BENCH_NODES, (int)bench->backends,
          bench->backends == 1 ? "backend" : "backends", BENCH_PAGE_SIZE, BENCH_TOPK);
  if (bench->empty_node >= 0) {
    fprintf(file,
            "<tr><th>floor<td>an empty kernel with the same arguments: %.2f us per node</tr>\n",
            bench->empty_node);
  }
  if (!bench->has_lower_bounds) {
    fputs("<tr><th>bounds<td>not measured: ", file);
    html_text(file, bench->lower_bounds_missing);
    fputs("</tr>\n", file);
  }
  fputs("</table>\n", file);
}

static double quotient(double value, double of) { return value < 0 || of <= 0 ? -1 : value / of; }

static void put_workload(FILE *file, const struct bench_row *row) {
  const struct bench_times *times = &row->times;
  fprintf(file, "<tr><td>%s<small>width ", row->shape.name);
  html_size(file, row->shape.width);
  fputs("</small></td>", file);
  if (row->skipped) {
    fputs("<td class=\"why\" colspan=\"8\">skipped: ", file);
    html_text(file, row->reason);
    fputs("</td></tr>\n", file);
    return;
  }
  html_cell(file, times->direct, "");
  html_cell(file, times->direct_flushed, "");
  html_cell(file, times->copy, "");
  html_cell(file, times->copy_flushed, "");
  html_cell(file, quotient(times->direct, times->copy), "x");
  html_cell(file, quotient(times->table, times->direct), "x");
  html_cell(file, quotient(times->table_with_copy, times->direct), "x");
  html_cell(file, quotient(times->each_backend, times->direct), "x");
  fputs("</tr>\n", file);
}

static void put_workloads(FILE *file, const struct bench_report *report) {
  fputs(
      "<h2>GPU time of one graph node, us</h2>\n"
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"GPU time of each "
      "workload\">"
      "<table>\n<tr><th>workload<th>udm<th>L2 flushed<th>copy<th>L2 flushed<th>udm / "
      "copy<th>pointer "
      "table<th>with pointer copy<th>launch per backend</tr>\n",
      file);
  for (size_t i = 0; i < report->row_count; ++i) put_workload(file, &report->rows[i]);
  fputs(
      "</table></div>\n<p class=\"dim\">L2 flushed: a sweep of the L2 cache ran before "
      "each call. The last three columns are ratios to udm's direct call, the first column. "
      "Verify and extend: one backend, 4 query tokens per request. Iteration: a draft, a verify "
      "and an extend, each with schedules and context lengths: three nodes.",
      file);
  if (report->bench->has_lower_bounds) {
    fputs(
        " The copy reads the bytes of page_table_1 once and writes them once per backend and equal "
        "row. For pages "
        "only, it copies the bytes of real_page_table: less traffic than the kernel's, which must "
        "read one slot per page.",
        file);
  }
  fputs("</p>\n", file);
}

static void put_bar(FILE *file, const char *name, double value, double most, bool raw) {
  if (value < 0) return;
  fprintf(file,
          "<div class=\"bar\"><p>%s: <b>%.2f us</b></p><i%s style=\"width:%.1f%%\"></i></div>\n",
          name, value, raw ? " class=\"raw\"" : "", value / most * 100);
}

static void put_host(FILE *file, const struct bench_report *report) {
  const struct bench_host_times *host = &report->host;
  const double most =
      fmax(fmax(fmax(host->empty, host->direct), fmax(host->table, host->table_with_copy)),
           fmax(host->each_backend, host->iteration));
  fputs("<h2>Host time of one call</h2>\n", file);
  if (most <= 0) {
    fputs("<p>Not measured: all workloads were skipped.</p>\n", file);
    return;
  }
  put_bar(file, "cuLaunchKernel, empty kernel, same arguments", host->empty, most, true);
  put_bar(file, "direct call", host->direct, most, false);
  put_bar(file, "pointer-table call", host->table, most, false);
  put_bar(file, "pointer-table call with a copy of the pointers", host->table_with_copy, most,
          false);
  put_bar(file, "one launch per backend", host->each_backend, most, false);
  put_bar(file, "iteration: draft, verify and extend", host->iteration, most, false);
}

static void put_start(FILE *file, const char *name, double without, double with) {
  fprintf(file, "<tr><td>%s</td>", name);
  html_cell(file, without, "");
  html_cell(file, with, "");
  fputs("</tr>\n", file);
}

static void put_create(FILE *file, const struct bench_report *report) {
  const struct bench_create_times *create = &report->create;
  fputs(
      "<h2>Time of udm_create, ms</h2>\n<table>\n<tr><th>the first of a process<th>no driver's "
      "cache<th>with driver's cache</tr>\n",
      file);
  put_start(file, "cold: NVRTC compiles", create->cold, create->cold_driver_cache);
  put_start(file, "cold: the shipped PTX", create->ptx, create->ptx_driver_cache);
  put_start(file, "warm: from udm's cache", create->warm, -1);
  fprintf(file,
          "</table>\n<p class=\"dim\">Median of %d. Driver's cache: ~/.nv/ComputeCache, here with "
          "the result of an earlier start. A fresh machine or container has none.</p>\n",
          create->repetitions);
  if (!create->note[0]) return;
  fputs("<p>Not measured: ", file);
  html_text(file, create->note);
  fputs(".</p>\n", file);
}

void bench_print_page(const struct bench_report *report, FILE *file) {
  fputs(page_head, file);
  fputs("<h1>udm bench: ", file);
  html_text(file, report->bench->session.name);
  fputs("</h1>\n", file);
  if (interrupted()) {
    fputs(
        "<p class=\"notice\"><b>Interrupted.</b> This page has what was measured until then; the "
        "rest is skipped or not measured.</p>\n",
        file);
  }
  put_facts(file, report);
  fputs("<div class=\"charts\">\n", file);
  for (size_t i = 0; i < report->series_count; ++i) {
    chart_print(file, &report->series[i], report->bench->empty_node);
  }
  fputs("</div>\n", file);
  put_host(file, report);
  put_create(file, report);
  put_workloads(file, report);
  fputs("</html>\n", file);
}
