/*
 * The result of a replay, as a summary for people or as a JSON object.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_REPLAY_REPORT_H
#define UDM_TOOLS_REPLAY_REPORT_H

#include <jansson.h>

#include "run.h"

typedef struct replay_report {
  const char *trace_path;
  const request_trace *trace;
  const replay_options *options;
  const replay_device *device;
  const char *note; /* why the device is what it is; "" when that was asked for */
  const replay_result *result;
} replay_report;

void replay_report_print(const replay_report *report);

/* NULL without memory. */
json_t *replay_report_json(const replay_report *report);

/* The mismatches that were kept, in words, on stderr. */
void replay_report_mismatches(const mismatch_log *log);

#endif /* UDM_TOOLS_REPLAY_REPORT_H */
