/*
 * The bench's findings as one page of HTML: charts in SVG, nothing fetched from
 * anywhere, readable on a phone and in the dark.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <math.h>

#include "report.h"

enum { kWidth = 640, kHeight = 320, kLeft = 56, kRight = 16, kTop = 16, kBottom = 44 };

static const char kHead[] =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>udm bench</title>\n<style>\n"
    ":root{color-scheme:light dark;--ink:#1c2733;--dim:#657282;--line:#d5dbe1;--a:#1667c7;"
    "--b:#c2610c;--back:#fff}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e9ee;--dim:#9aa7b4;--line:#37424d;"
    "--a:#6db1ff;--b:#ffa657;--back:#12181e}}\n"
    "body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);"
    "max-width:56rem;margin:0 auto;padding:1rem}\n"
    "h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}\n"
    "svg{width:100%;height:auto}text{fill:var(--dim);font-size:12px}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
    "td,th{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:right;"
    "white-space:nowrap}\n"
    "td:first-child,th:first-child{text-align:left}.dim{color:var(--dim)}\n"
    ".grid{stroke:var(--line)}.a{stroke:var(--a);fill:none;stroke-width:2}"
    ".b{stroke:var(--b);fill:none;stroke-width:2;stroke-dasharray:5 4}\n"
    ".da{fill:var(--a)}.db{fill:var(--b)}\n</style>\n";

/* Names of devices and reasons come from outside. */
static void put_text(FILE *file, const char *text) {
  for (; *text; ++text) {
    if (*text == '<' || *text == '>' || *text == '&') {
      fprintf(file, "&#%d;", *text);
    } else {
      fputc(*text, file);
    }
  }
}

/* Both axes are logarithmic: x from the first point to the last, y over whole decades. */
typedef struct axes {
  double left, right; /* log2 */
  double low, high;   /* log10 */
} axes;

static double place_x(const axes *a, double x) {
  const double part = a->right > a->left ? (log2(x) - a->left) / (a->right - a->left) : 0.5;
  return kLeft + part * (kWidth - kLeft - kRight);
}

static double place_y(const axes *a, double y) {
  return kTop + (a->high - log10(y)) / (a->high - a->low) * (kHeight - kTop - kBottom);
}

static axes axes_of(const bench_series *series) {
  double least = INFINITY;
  double most = 0;
  for (size_t i = 0; i < series->count; ++i) {
    const bench_times *times = &series->points[i].times;
    const double both[] = {times->direct, times->copy};
    for (int b = 0; b < 2; ++b) {
      if (both[b] > 0) least = fmin(least, both[b]);
      if (both[b] > 0) most = fmax(most, both[b]);
    }
  }
  if (!isfinite(least)) least = most = 1;
  return (axes){log2(series->x[0]), log2(series->x[series->count - 1]), floor(log10(least)),
                floor(log10(most)) + 1};
}

static void put_line(FILE *file, const bench_series *series, const axes *a, bool copy) {
  fprintf(file, "<polyline class=\"%s\" points=\"", copy ? "b" : "a");
  for (size_t i = 0; i < series->count; ++i) {
    const bench_times *times = &series->points[i].times;
    const double value = copy ? times->copy : times->direct;
    if (value > 0) fprintf(file, "%.1f,%.1f ", place_x(a, series->x[i]), place_y(a, value));
  }
  fputs("\"/>\n", file);
  for (size_t i = 0; i < series->count && !copy; ++i) {
    const double value = series->points[i].times.direct;
    if (value <= 0) continue;
    fprintf(file,
            "<circle class=\"da\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>%d: %.2f us</title>"
            "</circle>\n",
            place_x(a, series->x[i]), place_y(a, value), (int)series->x[i], value);
  }
}

static void put_x_label(FILE *file, double x, int32_t value) {
  const bool thousands = value >= 1024 && value % 1024 == 0;
  fprintf(file, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d%s</text>\n", x,
          kHeight - kBottom + 18, (int)(thousands ? value / 1024 : value), thousands ? "k" : "");
}

static void put_series(FILE *file, const bench_series *series) {
  if (series->count == 0) return;
  const axes a = axes_of(series);
  fprintf(file, "<h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n",
          series->title, kWidth, kHeight, series->title);
  for (int decade = (int)a.low; decade <= (int)a.high; ++decade) {
    const double value = pow(10, decade);
    const double y = place_y(&a, value);
    fprintf(file,
            "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
            "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g us</text>\n",
            kLeft, kWidth - kRight, y, y, kLeft - 6, y + 4, value);
  }
  for (size_t i = 0; i < series->count; ++i) {
    put_x_label(file, place_x(&a, series->x[i]), series->x[i]);
  }
  fprintf(file, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", kWidth / 2,
          kHeight - 6, series->axis);
  put_line(file, series, &a, true);
  put_line(file, series, &a, false);
  fputs(
      "</svg>\n<p class=\"dim\">Solid: udm. Dashed: a plain copy of the same bytes, one read, and "
      "a write for each backend.</p>\n",
      file);
}

static void put_cell(FILE *file, double value, const char *unit) {
  if (value < 0) {
    fputs("<td class=\"dim\">-</td>", file);
  } else {
    fprintf(file, "<td>%.2f%s</td>", value, unit);
  }
}

static double quotient(double value, double of) { return value < 0 || of <= 0 ? -1 : value / of; }

static void put_works(FILE *file, const bench_report *report) {
  fputs(
      "<h2>GPU time of one graph node, us</h2>\n<div class=\"scroll\"><table>\n<tr><th>work"
      "<th>width<th>udm<th>L2 flushed<th>copy<th>L2 flushed<th>udm / copy<th>table entry<th>with "
      "pointer copy<th>a launch a backend",
      file);
  fputs(report->shows_goals ? "<th>goal, H200</tr>\n" : "</tr>\n", file);
  for (size_t i = 0; i < report->row_count; ++i) {
    const bench_row *row = &report->rows[i];
    const bench_times *times = &row->times;
    fprintf(file, "<tr><td>%s</td><td>%d</td>", row->shape.name, (int)row->shape.width);
    if (row->skipped) {
      fputs("<td class=\"dim\" colspan=\"9\">skipped: ", file);
      put_text(file, row->reason);
      fputs("</td></tr>\n", file);
      continue;
    }
    put_cell(file, times->direct, "");
    put_cell(file, times->direct_flushed, "");
    put_cell(file, times->copy, "");
    put_cell(file, times->copy_flushed, "");
    put_cell(file, quotient(times->direct, times->copy), "x");
    put_cell(file, quotient(times->table, times->direct), "x");
    put_cell(file, quotient(times->table_with_copy, times->direct), "x");
    put_cell(file, quotient(times->each_backend, times->direct), "x");
    if (report->shows_goals) put_cell(file, row->goal > 0 ? row->goal : -1, "");
    fputs("</tr>\n", file);
  }
  fputs("</table></div>\n", file);
}

static void put_bar(FILE *file, int index, const char *name, double value, double most) {
  if (value < 0) return;
  const int y = 8 + 44 * index;
  fprintf(file,
          "<text x=\"0\" y=\"%d\">%s: %.2f us</text><rect class=\"%s\" x=\"0\" y=\"%d\" "
          "width=\"%.1f\" height=\"18\" rx=\"3\"/>\n",
          y + 8, name, value, index == 0 ? "db" : "da", y + 14, value / most * kWidth);
}

static void put_host(FILE *file, const bench_report *report) {
  const bench_host_times *host = &report->host;
  const double most = fmax(fmax(host->empty, host->direct),
                           fmax(host->table, fmax(host->table_with_copy, host->each_backend)));
  fprintf(file, "<h2>Host time of one call</h2>\n<svg viewBox=\"0 0 %d 232\" role=\"img\">\n",
          kWidth);
  put_bar(file, 0, "cuLaunchKernel, empty kernel, same arguments", host->empty, most);
  put_bar(file, 1, "direct entry", host->direct, most);
  put_bar(file, 2, "table entry", host->table, most);
  put_bar(file, 3, "table entry with a copy of the pointers", host->table_with_copy, most);
  put_bar(file, 4, "a launch for each backend", host->each_backend, most);
  fputs("</svg>\n", file);
}

bool bench_write_page(const bench_report *report, const char *path) {
  const bench_run *bench = report->bench;
  FILE *file = fopen(path, "w");
  if (!file) return false;
  fputs(kHead, file);
  fputs("<h1>udm bench: ", file);
  put_text(file, bench->session.name);
  fprintf(file,
          "</h1>\n<p>udm %s, sm_%d, %d multiprocessors. Median of %" PRId64
          " replays of %d nodes; %d backends, page size %d, top-k %d, row extent. An empty kernel "
          "with the same arguments takes %.2f us a node.</p>\n",
          udm_version_string(), (int)bench->session.info.device_arch,
          (int)bench->session.info.multiprocessor_count, bench->replays, kBenchNodes,
          (int)bench->backends, kBenchPageSize, kBenchTopk, bench->empty_node);
  if (!bench->has_floors) {
    fputs("<p>The floors were not measured: ", file);
    put_text(file, bench->floors_missing);
    fputs("</p>\n", file);
  }
  for (size_t i = 0; i < report->series_count; ++i) put_series(file, &report->series[i]);
  put_host(file, report);
  put_works(file, report);
  fputs("</html>\n", file);
  const bool written = !ferror(file);
  return fclose(file) == 0 && written;
}
