/*
 * The result of a replay: see report.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

#include "../output.h"
#include "../table.h"

static double mean(int64_t sum, int64_t count) { return count ? (double)sum / (double)count : 0; }

static void add_setting(text_table *table, const replay_report *report) {
  const replay_options *options = report->options;
  const scheduler_options *scheduler = &report->result->scheduler;
  table_add(table, "trace\t%s (%s, %zu requests, longest %d tokens)", report->trace_path,
            report->trace->format, report->trace->count, trace_longest(report->trace));
  table_add(table, "device\t%s%s%s%s", report->device->title, report->note[0] ? " (" : "",
            report->note, report->note[0] ? ")" : "");
  table_add(table, "call\t%s entry, %d backends, %s extent, page size %d, top-k %d",
            options->table ? "table" : "direct", options->num_backends,
            options->extent == UDM_EXTENT_ROW ? "row" : "batch-max", options->page_size,
            options->nsa_index_topk);
  table_add(table, "KV pool\t%d pages of %d tokens; up to %d requests of %d tokens",
            scheduler->pool_pages, scheduler->page_size, scheduler->max_batch,
            scheduler->max_context);
}

static void add_course(text_table *table, const replay_report *report) {
  const replay_result *result = report->result;
  const scheduler_counts *counts = &result->counts;
  table_add(table, "requests\t%" PRId64 " finished, %" PRId64 " rejected, %" PRId64 " preemptions",
            counts->finished, counts->rejected, counts->preempted);
  table_add(table, "steps\t%" PRId64 "%s", result->steps,
            counts->passes > 1 ? " (the trace was started again from the top)" : "");
  table_add(table, "batch\tmean %.1f, max %d, padded to %d", mean(result->batch_sum, result->steps),
            result->max_batch_seen, result->max_padded_batch_seen);
  table_add(table, "tokens\tmean %.0f in the KV cache a step, %.1f new; longest request %d",
            mean(result->token_sum, result->steps), mean(counts->generated, result->steps),
            result->max_seq_len_seen);
}

static void add_times(text_table *table, const replay_result *result) {
  if (result->host_us.p50 >= 0) {
    table_add(table, "host time\tp50 %.1f us, p99 %.1f us a call", result->host_us.p50,
              result->host_us.p99);
  }
  if (result->gpu_us.p50 >= 0) {
    table_add(table, "GPU time\tp50 %.1f us, p99 %.1f us between events around the call",
              result->gpu_us.p50, result->gpu_us.p99);
  }
}

void replay_report_print(const replay_report *report) {
  const replay_result *result = report->result;
  const bool good = result->mismatches.count == 0;
  text_table table = TABLE_INIT;
  add_setting(&table, report);
  add_course(&table, report);
  add_times(&table, result);
  table_print(&table, stdout, 0, "");
  table_free(&table);
  if (!report->options->check) {
    printf("check      none: --check compares every step with the allocator's books\n");
    return;
  }
  printf("check      %s%" PRId64 " steps checked, %" PRId64 " mismatches%s\n",
         output_escape(stdout, good ? kStyleGood : kStyleBad), result->checked_steps,
         result->mismatches.count, output_escape(stdout, kStylePlain));
}

static json_t *percentiles_json(const time_percentiles *percentiles) {
  if (percentiles->p50 < 0) return json_null();
  return json_pack("{s:f, s:f}", "p50", percentiles->p50, "p99", percentiles->p99);
}

static json_t *mismatches_json(const mismatch_log *log) {
  json_t *list = json_array();
  for (int i = 0; i < mismatch_log_kept(log); ++i) {
    char text[256];
    mismatch_describe(&log->first[i], text, sizeof(text));
    json_array_append_new(list, json_string(text));
  }
  return list;
}

json_t *replay_report_json(const replay_report *report) {
  const replay_result *result = report->result;
  const scheduler_counts *counts = &result->counts;
  return json_pack(
      "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:f, s:i, s:f, s:I, s:I, s:o, s:o, s:o}",
      "device", report->device->name, "device_title", report->device->title, "note", report->note,
      "requests", (json_int_t)report->trace->count, "finished", (json_int_t)counts->finished,
      "rejected", (json_int_t)counts->rejected, "preempted", (json_int_t)counts->preempted,
      "trace_passes", (json_int_t)counts->passes, "steps", (json_int_t)result->steps,
      "max_batch_seen", result->max_batch_seen, "mean_batch",
      mean(result->batch_sum, result->steps), "max_seq_len_seen", result->max_seq_len_seen,
      "mean_tokens", mean(result->token_sum, result->steps), "checked_steps",
      (json_int_t)result->checked_steps, "mismatches", (json_int_t)result->mismatches.count,
      "first_mismatches", mismatches_json(&result->mismatches), "host_us",
      percentiles_json(&result->host_us), "gpu_us", percentiles_json(&result->gpu_us));
}

void replay_report_mismatches(const mismatch_log *log) {
  for (int i = 0; i < mismatch_log_kept(log); ++i) {
    char text[256];
    mismatch_describe(&log->first[i], text, sizeof(text));
    output_error("%s", text);
  }
  if (log->count > kMismatchesKept) {
    output_error("and %" PRId64 " more wrong elements", log->count - kMismatchesKept);
  }
}
