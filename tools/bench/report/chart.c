/*
 * chart.c: a chart: see chart.h. Drawn for a phone: 360 units are about as many pixels
 * there, so text of 13 units can be read, and nothing needs a pointer that hovers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "chart.h"

#include <math.h>

#include "html.h"

enum {
  WIDTH = 360,
  HEIGHT = 236,
  LEFT = 44,
  RIGHT = 8,
  TOP = 6,
  BOTTOM = 42,
  INSET = 18, /* room between the data and the edges, for the labels of points */
  MOST_LABELS = 6
};

/* Both axes are logarithmic, and run from the least value to the greatest. */
struct axes {
  double left, right; /* log2 */
  double low, high;   /* log10 */
};

static double place_x(const struct axes *a, double x) {
  const double part = a->right > a->left ? (log2(x) - a->left) / (a->right - a->left) : 0.5;
  return LEFT + INSET + part * (WIDTH - LEFT - RIGHT - 2 * INSET);
}

static double place_y(const struct axes *a, double y) {
  const double part = (a->high - log10(y)) / (a->high - a->low);
  return TOP + INSET + part * (HEIGHT - TOP - BOTTOM - 2 * INSET);
}

static bool is_inside(double y) { return y >= TOP && y <= HEIGHT - BOTTOM; }

/* 0 when it was not measured. */
static double value_of(const struct bench_row *row, bool copy) {
  const double value = copy ? row->times.copy : row->times.direct;
  return row->skipped || value < 0 ? 0 : value;
}

/* False when there is no value at all. */
static bool find_axes(const struct bench_series *series, double empty_node, struct axes *a) {
  double least = INFINITY;
  double most = 0;
  for (size_t i = 0; i < series->count; ++i) {
    for (int copy = 0; copy < 2; ++copy) {
      const double value = value_of(&series->points[i], copy);
      if (value > 0) least = fmin(least, value);
      most = fmax(most, value);
    }
  }
  if (most <= 0) return false;
  if (empty_node > 0) least = fmin(least, empty_node);
  *a = (struct axes){log2(series->x[0]), log2(series->x[series->count - 1]), log10(least),
                     log10(most)};
  /* at least a factor of two: noise is not to look like a slope, and some lines must fit in */
  const double missing = log10(2) - (a->high - a->low);
  if (missing > 0) {
    a->low -= missing / 2;
    a->high += missing / 2;
  }
  return true;
}

/* Draws the lines of a decade's steps, or with file NULL counts them. */
static int put_grid(FILE *file, const struct axes *a, const double *steps, int count) {
  int lines = 0;
  for (int decade = (int)floor(a->low) - 1; decade <= (int)ceil(a->high); ++decade) {
    for (int s = 0; s < count; ++s) {
      const double value = steps[s] * pow(10, decade);
      const double y = place_y(a, value);
      if (!is_inside(y)) continue;
      ++lines;
      if (!file) continue;
      fprintf(file,
              "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
              "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
              LEFT, WIDTH - RIGHT, y, y, LEFT - 5, y + 4.5, value);
    }
  }
  return lines;
}

static void put_axes(FILE *file, const struct bench_series *series, const struct axes *a) {
  static const double coarse[] = {1, 2, 5};
  static const double fine[] = {1, 1.5, 2, 3, 4, 5, 7};
  if (put_grid(NULL, a, coarse, 3) >= 3) {
    put_grid(file, a, coarse, 3);
  } else {
    put_grid(file, a, fine, 7);
  }
  const size_t step = (series->count - 1) / MOST_LABELS + 1;
  for (size_t i = (series->count - 1) % step; i < series->count; i += step) {
    fprintf(file, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", place_x(a, series->x[i]),
            HEIGHT - BOTTOM + 16);
    html_size(file, series->x[i]);
    fputs("</text>\n", file);
  }
  fprintf(file, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
          (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, series->axis);
}

static void put_empty_node(FILE *file, const struct axes *a, double empty_node) {
  if (empty_node <= 0) return;
  const double y = place_y(a, empty_node);
  if (!is_inside(y)) return;
  fprintf(file,
          "<line class=\"c\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
          "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">empty kernel %.2f</text>\n",
          LEFT, WIDTH - RIGHT, y, y, WIDTH - RIGHT - 4, y - 5, empty_node);
}

static void put_line(FILE *file, const struct bench_series *series, const struct axes *a,
                     bool copy) {
  fprintf(file, "<polyline class=\"%s\" points=\"", copy ? "b" : "a");
  for (size_t i = 0; i < series->count; ++i) {
    const double value = value_of(&series->points[i], copy);
    if (value > 0) fprintf(file, "%.1f,%.1f ", place_x(a, series->x[i]), place_y(a, value));
  }
  fputs("\"/>\n", file);
}

/* Places the label on the side of the point away from the copy line. */
static void put_value(FILE *file, const struct bench_series *series, const struct axes *a,
                      size_t i) {
  const double value = value_of(&series->points[i], false);
  const bool below = value < value_of(&series->points[i], true);
  fprintf(file, "<text class=\"v\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.2f</text>\n",
          place_x(a, series->x[i]), place_y(a, value) + (below ? 17 : -8), value);
}

/* udm's points, and the values of the first and the last. */
static void put_points(FILE *file, const struct bench_series *series, const struct axes *a) {
  size_t first = series->count;
  size_t last = 0;
  for (size_t i = 0; i < series->count; ++i) {
    const double value = value_of(&series->points[i], false);
    if (value <= 0) continue;
    if (first == series->count) first = i;
    last = i;
    fprintf(
        file,
        "<circle class=\"da\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"><title>%.2f us</title></circle>\n",
        place_x(a, series->x[i]), place_y(a, value), value);
  }
  if (first == series->count) return;
  put_value(file, series, a, first);
  if (last != first) put_value(file, series, a, last);
}

static void put_values(FILE *file, const struct bench_series *series) {
  fprintf(file,
          "<details><summary>All values</summary><table>\n<tr><th>%s<th>udm, us<th>copy, us"
          "<th>udm / copy</tr>\n",
          series->axis);
  for (size_t i = 0; i < series->count; ++i) {
    const struct bench_row *row = &series->points[i];
    fputs("<tr><td>", file);
    html_size(file, series->x[i]);
    fputs("</td>", file);
    if (row->skipped) {
      fputs("<td class=\"why\" colspan=\"3\">skipped: ", file);
      html_text(file, row->reason);
      fputs("</td></tr>\n", file);
      continue;
    }
    const double direct = value_of(row, false);
    const double copy = value_of(row, true);
    html_cell(file, direct > 0 ? direct : -1, "");
    html_cell(file, copy > 0 ? copy : -1, "");
    html_cell(file, direct > 0 && copy > 0 ? direct / copy : -1, "x");
    fputs("</tr>\n", file);
  }
  fputs("</table></details>\n", file);
}

void chart_print(FILE *file, const struct bench_series *series, double empty_node) {
  struct axes a;
  if (series->count == 0) return;
  fprintf(file, "<section>\n<h2>%s, us</h2>\n", series->title);
  if (!find_axes(series, empty_node, &a)) {
    fputs("<p>Not measured: ", file);
    html_text(file, series->points[0].reason);
    fputs(".</p>\n</section>\n", file);
    return;
  }
  fprintf(file, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", WIDTH, HEIGHT,
          series->title);
  put_axes(file, series, &a);
  put_empty_node(file, &a, empty_node);
  put_line(file, series, &a, true);
  put_line(file, series, &a, false);
  put_points(file, series, &a);
  fputs(
      "</svg>\n<p class=\"key\"><span><i class=\"ka\"></i>udm</span> <span><i class=\"kb\"></i>a "
      "copy of the same bytes</span></p>\n",
      file);
  put_values(file, series);
  fputs("</section>\n", file);
}
