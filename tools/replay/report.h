/*
 * report.h: the result of a replay, as a text summary or as a JSON object.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_REPORT_H
#define UDM_TOOLS_REPLAY_REPORT_H

#include <jansson.h>

#include "run.h"

struct replay_report {
  const char *trace_path;
  const struct request_trace *trace;
  const struct replay_options *options;
  const struct replay_device *device;
  const char *note; /* why the device is what it is; "" when that was asked for */
  const struct replay_result *result;
};

void replay_report_print(const struct replay_report *report);

/* NULL without memory. */
json_t *replay_report_json(const struct replay_report *report);

/* Prints the kept mismatches to stderr. */
void replay_report_mismatches(const struct mismatch_log *log);

#endif
