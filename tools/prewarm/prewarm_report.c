/*
 * prewarm_report.c: the report of udm prewarm: which NVRTC compiled which architecture.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "command/command.h"
#include "command/interrupt.h"
#include "command/output.h"
#include "command/text_table.h"
#include "prewarm.h"

static const char *error_of(const struct prewarm_job *job) {
  return job->error ? job->error : udm_status_text(job->status);
}

static json_t *nvrtc_json(const struct nvrtc_found *found) {
  char version[32];
  json_t *archs = json_array();
  nvrtc_version_text(found, version);
  for (int32_t i = 0; i < found->info.arch_count; ++i) {
    json_array_append_new(archs, json_sprintf("sm_%d", found->info.archs[i]));
  }
  return json_pack("{s:s, s:o, s:o}", "version", version, "path", output_text(found->info.path),
                   "archs", archs);
}

/* {"arch", "nvrtc", "path"} of a job that succeeded; "nvrtc" is a version. */
static json_t *job_json(const struct prewarm_job *job) {
  char arch[16];
  char version[32];
  snprintf(arch, sizeof arch, "sm_%d", job->arch);
  nvrtc_version_text(job->nvrtc, version);
  return json_pack("{s:s, s:s, s:o}", "arch", arch, "nvrtc", version, "path",
                   output_text(job->result.path));
}

static json_t *results_json(const struct prewarm *work) {
  const struct nvrtc_found *first = nvrtc_list_first(&work->nvrtcs);
  json_t *compiled = json_array();
  json_t *cached = json_array();
  json_t *failed = json_array();
  json_t *nvrtcs = json_array();
  for (int32_t i = 0; i < work->job_count; ++i) {
    const struct prewarm_job *job = &work->jobs[i];
    if (job->status != UDM_OK) {
      json_array_append_new(
          failed, json_pack("{s:o, s:o}", "arch", json_sprintf("sm_%d", job->arch), "error",
                            output_text(error_of(job))));
      continue;
    }
    json_t *done = job_json(job);
    if (job->result.compiled) {
      json_object_set_new(done, "ms", json_real(job->result.compile_ms));
      json_object_set_new(done, "bytes", json_integer((json_int_t)job->result.bytes));
    }
    json_array_append_new(job->result.compiled ? compiled : cached, done);
  }
  for (int32_t i = 0; i < work->nvrtcs.count; ++i) {
    const struct nvrtc_found *found = &work->nvrtcs.items[i];
    if (nvrtc_is_usable(found)) json_array_append_new(nvrtcs, nvrtc_json(found));
  }
  char version[32];
  nvrtc_version_text(first, version);
  return json_pack("{s:{s:s, s:o}, s:o, s:o, s:o, s:o, s:b}", "nvrtc", "version", version, "path",
                   output_text(first->info.path), "nvrtcs", nvrtcs, "compiled", compiled, "cached",
                   cached, "failed", failed, "interrupted", interrupted());
}

/* For the table; error_of() has the whole. */
static const char *short_error_of(const struct prewarm_job *job) {
  if (job->interrupted) return error_of(job);
  return job->hopeless ? "no NVRTC here makes images for that driver"
                       : udm_status_text(job->status);
}

static void print_job(struct text_table *table, const struct prewarm_job *job) {
  char bytes[32];
  char version[32] = "-";
  output_bytes(bytes, sizeof bytes, job->result.bytes);
  if (job->nvrtc) nvrtc_version_text(job->nvrtc, version);
  if (job->status != UDM_OK) {
    table_add(table, "sm_%d\tfailed\t%s\t\t\t%s", job->arch, version, short_error_of(job));
  } else if (job->result.compiled) {
    table_add(table, "sm_%d\tcompiled\t%s\t%.0f\t%s\t%s", job->arch, version,
              job->result.compile_ms, bytes, job->result.path);
  } else {
    table_add(table, "sm_%d\tcached\t%s\t\t%s\t%s", job->arch, version, bytes, job->result.path);
  }
}

static void print_results(const struct prewarm *work) {
  struct text_table table = TABLE_INIT;
  for (int32_t i = 0; i < work->nvrtcs.count; ++i) {
    const struct nvrtc_found *found = &work->nvrtcs.items[i];
    char version[32];
    nvrtc_version_text(found, version);
    if (nvrtc_is_usable(found)) printf("NVRTC %s, %s\n", version, found->info.path);
  }
  table_add(&table, "ARCH\tRESULT\tNVRTC\tMS\tBYTES\tENTRY");
  for (int32_t i = 0; i < work->job_count; ++i) print_job(&table, &work->jobs[i]);
  table_print(&table, stdout, 0, "lllrrl");
  table_free(&table);
}

int prewarm_report(const struct prewarm *work) {
  int code = EXIT_DONE;
  if (!work->json) {
    print_results(work);
    fflush(stdout);
  }
  for (int32_t i = 0; i < work->job_count; ++i) {
    if (work->jobs[i].status == UDM_OK) continue;
    output_error("sm_%d: %s", work->jobs[i].arch, error_of(&work->jobs[i]));
    code = EXIT_COULD_NOT;
  }
  return work->json ? output_json(results_json(work), code) : code;
}
