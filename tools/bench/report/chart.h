/*
 * chart.h: one chart of the page: GPU time against one size, in SVG, with its values in a table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_BENCH_REPORT_CHART_H
#define UDM_TOOLS_BENCH_REPORT_CHART_H

#include <stdio.h>

#include "report.h"

/* empty_node: microseconds of the line below which no kernel gets; negative: none. */
void chart_print(FILE *file, const struct bench_series *series, double empty_node);

#endif
