/*
 * report.c: the result of a replay: see report.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

#include "command/output.h"
#include "command/text_table.h"

static double mean(int64_t sum, int64_t count) { return count ? (double)sum / (double)count : 0; }

static const char *type_name(udm_int_type type) { return type == UDM_INT64 ? "int64" : "int32"; }

static const char *schedule_name(udm_schedule_variant variant) {
  return variant == UDM_SCHEDULE_SM100 ? "sm100" : "sm90";
}

static const char *schedule_row(const struct replay_options *options) {
  return options->schedule_requests ? "request" : "token";
}

static void add_phases(struct text_table *table, const struct replay_report *report) {
  const struct replay_options *options = report->options;
  if (!options->whole_step) return;
  table_add(table,
            "step\tdraft decode, target verify of %d tokens, %s draft extend; %s schedules of %ss",
            scheduler_verify_tokens(&report->result->scheduler),
            options->static_extend ? "static" : "ragged", schedule_name(options->schedule),
            schedule_row(options));
}

static void add_setting(struct text_table *table, const struct replay_report *report) {
  const struct replay_options *options = report->options;
  const struct scheduler_options *scheduler = &report->result->scheduler;
  const struct request_trace *trace = report->trace;
  char failed[80] = "";
  if (trace->failed > 0) {
    snprintf(failed, sizeof failed, ", %zu failed and skipped (0 output tokens)", trace->failed);
  }
  table_add(table, "trace\t%s (%s, %zu requests%s, longest %d tokens)",
            trace_name(report->trace_path), trace->format, trace->count + trace->failed, failed,
            trace_longest(trace));
  table_add(table, "device\t%s%s%s%s", report->device->title, report->note[0] ? " (" : "",
            report->note, report->note[0] ? ")" : "");
  table_add(table, "call\t%s call, %d backends, %s extent, page size %d, top-k %d",
            options->table ? "pointer-table" : "direct", options->num_backends,
            options->extent == UDM_EXTENT_ROW ? "row" : "batch-max", options->page_size,
            options->nsa_index_topk);
  add_phases(table, report);
  table_add(table, "tensors\t%s seq_lens, %s req_pool_indices; tables of up to %d tokens per row%s",
            type_name(options->seq_lens_type), type_name(options->req_pool_indices_type),
            report->result->max_len, options->no_page_table_1 ? ", no page_table_1" : "");
  table_add(table, "KV pool\t%d pages of %d tokens; up to %d requests of %d tokens",
            scheduler->pool_pages, scheduler->page_size, scheduler->max_batch,
            scheduler->max_context);
}

static void add_steps(struct text_table *table, const struct replay_report *report) {
  const struct replay_result *result = report->result;
  const struct scheduler_counts *counts = &result->counts;
  table_add(table, "requests\t%" PRId64 " finished, %" PRId64 " rejected, %" PRId64 " preemptions",
            counts->finished, counts->rejected, counts->preempted);
  table_add(table, "steps\t%" PRId64 "%s%s", result->steps,
            result->interrupted ? ", then interrupted" : "",
            counts->passes > 1 ? " (the trace was started again from the top)" : "");
  table_add(table, "batch\tmean %.1f, max %d, padded to %d", mean(result->batch_sum, result->steps),
            result->max_batch_seen, result->max_padded_batch_seen);
  table_add(table, "tokens\tmean %.0f in the KV cache per step, %.1f new; longest request %d",
            mean(result->token_sum, result->steps), mean(counts->generated, result->steps),
            result->max_seq_len_seen);
}

/* Adds one kind of time: the first call, and the percentiles of the others if there are any. */
static void add_time(struct text_table *table, const char *label, double first,
                     const struct time_percentiles *others, const char *what) {
  if (others->p50 < 0) {
    table_add(table, "%s\t%.1f us %s", label, first, what);
  } else {
    table_add(table, "%s\tp50 %.1f us, p99 %.1f us %s; the first %.1f us", label, others->p50,
              others->p99, what, first);
  }
}

static void add_times(struct text_table *table, const struct replay_report *report) {
  const struct replay_result *result = report->result;
  const struct launch_time *first = &result->first_call;
  if (result->steps == 0) return;
  if (report->device->is_reference) {
    add_time(table, "reference", first->host_us, &result->host_us, "on the CPU, no launch");
    return;
  }
  add_time(table, "host time", first->host_us, &result->host_us, "per call");
  add_time(table, "GPU time", first->gpu_us, &result->gpu_us, "between events around the call");
}

void replay_report_print(const struct replay_report *report) {
  const struct replay_result *result = report->result;
  const bool good = result->mismatches.count == 0;
  struct text_table table = TABLE_INIT;
  add_setting(&table, report);
  add_steps(&table, report);
  add_times(&table, report);
  table_print(&table, stdout, 0, "");
  table_free(&table);
  if (!report->options->check) {
    printf("check      none: --check compares every step with the allocator's page lists\n");
    return;
  }
  printf("check      %s%" PRId64 " steps checked, %" PRId64 " mismatches%s\n",
         output_escape(stdout, good ? STYLE_GOOD : STYLE_BAD), result->checked[DRAFT_DECODE],
         result->mismatches.count, output_escape(stdout, STYLE_PLAIN));
}

static json_t *number_json(double value) { return value < 0 ? json_null() : json_real(value); }

static json_t *time_json(double first, const struct time_percentiles *others) {
  return json_pack("{s:o, s:o, s:o}", "first", number_json(first), "p50", number_json(others->p50),
                   "p99", number_json(others->p99));
}

/* Adds each kind of time; null if it was not measured. */
static int set_times(json_t *object, const struct replay_report *report) {
  const struct replay_result *result = report->result;
  const struct launch_time *first = &result->first_call;
  const bool is_reference = report->device->is_reference;
  json_t *host = time_json(first->host_us, &result->host_us);
  json_t *gpu = is_reference ? json_null() : time_json(first->gpu_us, &result->gpu_us);
  return json_object_set_new(object, "host_us", is_reference ? json_null() : host) ||
         json_object_set_new(object, "gpu_us", gpu) ||
         json_object_set_new(object, "reference_us", is_reference ? host : json_null());
}

static json_t *mismatches_json(const struct mismatch_log *log) {
  json_t *list = json_array();
  for (int i = 0; i < mismatch_log_kept(log); ++i) {
    char text[256];
    mismatch_describe(&log->first[i], text, sizeof text);
    json_array_append_new(list, json_string(text));
  }
  return list;
}

/* What a whole step adds to the options of the call. */
static int set_step(json_t *call, const struct replay_report *report) {
  const struct replay_options *options = report->options;
  return json_object_set_new(call, "verify_tokens",
                             json_integer(scheduler_verify_tokens(&report->result->scheduler))) ||
         json_object_set_new(call, "extend",
                             json_string(options->static_extend ? "static" : "ragged")) ||
         json_object_set_new(call, "schedule", json_string(schedule_name(options->schedule))) ||
         json_object_set_new(call, "schedule_rows", json_string(schedule_row(options))) ||
         json_object_set_new(call, "num_sms", json_integer(report->device->num_sms));
}

/* The options of the call, defaults filled in. */
static json_t *call_json(const struct replay_report *report) {
  const struct replay_options *options = report->options;
  json_t *call =
      json_pack("{s:s, s:i, s:s, s:i, s:i, s:i, s:s, s:s, s:b, s:s}", "entry",
                options->table ? "table" : "direct", "backends", options->num_backends, "extent",
                options->extent == UDM_EXTENT_ROW ? "row" : "batch-max", "page_size",
                options->page_size, "topk", options->nsa_index_topk, "max_len",
                report->result->max_len, "seq_lens_type", type_name(options->seq_lens_type),
                "req_pool_indices_type", type_name(options->req_pool_indices_type), "page_table_1",
                !options->no_page_table_1, "mode", options->whole_step ? "step" : "decode");
  if (!call || !options->whole_step || set_step(call, report) == 0) return call;
  json_decref(call);
  return NULL;
}

/* What was done in each phase. */
static json_t *phases_json(const struct replay_result *result) {
  json_t *phases = json_object();
  for (int p = 0; p < PHASE_COUNT; ++p) {
    json_t *phase = json_pack("{s:I, s:I, s:I}", "launches", (json_int_t)result->launches[p],
                              "checked_steps", (json_int_t)result->checked[p], "mismatches",
                              (json_int_t)result->mismatches.of_phase[p]);
    json_object_set_new(phases, phase_name((enum step_phase)p), phase);
  }
  return phases;
}

static json_int_t sum_of_phases(const int64_t counts[PHASE_COUNT]) {
  json_int_t sum = 0;
  for (int p = 0; p < PHASE_COUNT; ++p) sum += counts[p];
  return sum;
}

json_t *replay_report_json(const struct replay_report *report) {
  const struct replay_result *result = report->result;
  const struct scheduler_counts *counts = &result->counts;
  json_t *object = json_pack(
      "{s:s, s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:i, s:f, s:i, s:f, s:I, s:I, "
      "s:o, s:o}",
      "device", report->device->name, "device_title", output_text(report->device->title), "note",
      report->note, "call", call_json(report), "requests",
      (json_int_t)(report->trace->count + report->trace->failed), "failed",
      (json_int_t)report->trace->failed, "finished", (json_int_t)counts->finished, "rejected",
      (json_int_t)counts->rejected, "preempted", (json_int_t)counts->preempted, "trace_passes",
      (json_int_t)counts->passes, "interrupted", result->interrupted, "steps",
      (json_int_t)result->steps, "max_batch_seen", result->max_batch_seen, "mean_batch",
      mean(result->batch_sum, result->steps), "max_seq_len_seen", result->max_seq_len_seen,
      "mean_tokens", mean(result->token_sum, result->steps), "checked_steps",
      sum_of_phases(result->checked), "mismatches", (json_int_t)result->mismatches.count,
      "first_mismatches", mismatches_json(&result->mismatches), "phases", phases_json(result));
  if (object && set_times(object, report) == 0) return object;
  json_decref(object);
  return NULL;
}

void replay_report_mismatches(const struct mismatch_log *log) {
  for (int i = 0; i < mismatch_log_kept(log); ++i) {
    char text[256];
    mismatch_describe(&log->first[i], text, sizeof text);
    output_error("%s", text);
  }
  if (log->count > MISMATCHES_KEPT) {
    output_error("and %" PRId64 " more wrong elements", log->count - MISMATCHES_KEPT);
  }
}
