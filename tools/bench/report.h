/*
 * What a run of the bench found, and the three forms in which it is told: a
 * table of text, one JSON object, one page of HTML.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_BENCH_REPORT_H
#define UDM_TOOLS_BENCH_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "create.h"
#include "machine.h"
#include "measure.h"

typedef struct bench_row {
  bench_shape shape;
  double goal; /* microseconds on an H200; 0: none was set */
  bool skipped;
  char reason[256];
  bench_times times;
} bench_row;

enum { kBenchMaxPoints = 16, kBenchSeries = 3 };

/* GPU time against one size, all else equal. */
typedef struct bench_series {
  const char *title;
  const char *axis;
  size_t count;
  bench_row points[kBenchMaxPoints];
  int32_t x[kBenchMaxPoints];
} bench_series;

typedef struct bench_report {
  const bench_run *bench;
  bench_machine machine;
  bench_row *rows;
  size_t row_count;
  bench_host_times host;
  bench_series series[kBenchSeries];
  size_t series_count;
  bench_create_times create;
  bool shows_goals; /* for people: this device is what they were set for */
} bench_report;

void bench_print_text(const bench_report *report, FILE *file);
json_t *bench_to_json(const bench_report *report);
void bench_print_page(const bench_report *report, FILE *file);

#endif /* UDM_TOOLS_BENCH_REPORT_H */
