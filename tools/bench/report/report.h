/*
 * report.h: what a run of the bench found, and its three forms: a
 * table of text, one JSON object, one page of HTML.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_BENCH_REPORT_REPORT_H
#define UDM_TOOLS_BENCH_REPORT_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "bench/create.h"
#include "bench/machine.h"
#include "bench/measure.h"

struct bench_row {
  struct bench_shape shape;
  bool skipped;
  char reason[256];
  struct bench_times times;
};

enum { BENCH_MAX_POINTS = 16, BENCH_SERIES = 3 };

/* GPU time against one size, all else equal. */
struct bench_series {
  const char *title;
  const char *axis;
  size_t count;
  struct bench_row points[BENCH_MAX_POINTS];
  int32_t x[BENCH_MAX_POINTS];
};

struct bench_report {
  const struct bench_run *bench;
  struct bench_machine machine;
  struct bench_row *rows;
  size_t row_count;
  struct bench_host_times host;
  struct bench_series series[BENCH_SERIES];
  size_t series_count;
  struct bench_create_times create;
};

void bench_print_text(const struct bench_report *report, FILE *file);
json_t *bench_to_json(const struct bench_report *report);
void bench_print_page(const struct bench_report *report, FILE *file);

#endif
