/*
 * udm cache import: entries from a tar archive.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "action.h"
#include "command.h"
#include "import_archive.h"
#include "output.h"
#include "places.h"
#include "progress.h"
#include "table.h"

/* By import_outcome. */
static const char *const kOutcomes[kImportOutcomes] = {"imported", "there", "skipped", "refused"};

typedef struct import_report {
  text_table table;
  json_t *members;
  struct archive *archive;
  progress_bar bar;
} import_report;

static void add_member(void *user_data, const import_member *member) {
  import_report *report = user_data;
  const char *outcome = kOutcomes[member->outcome];
  char arch[kArchTextSize];
  char bytes[32];
  progress_update(&report->bar, archive_filter_bytes(report->archive, -1));
  json_array_append_new(
      report->members,
      json_pack("{s:o, s:s, s:o, s:I, s:o, s:o}", "member", output_text(member->name), "outcome",
                outcome, "arch",
                member->arch ? json_string(cache_arch_text(arch, member->arch)) : json_null(),
                "bytes", (json_int_t)member->bytes, "path", output_text(member->path), "reason",
                output_text(member->reason ? member->reason : "")));
  if (member->outcome == kMemberRefused) {
    output_error("member '%s' is refused: %s", member->name, member->reason);
  } else if (member->outcome != kMemberSkipped) {
    output_bytes(bytes, sizeof(bytes), member->bytes);
    table_add(&report->table, "%s\t%s\t%s\t%s", cache_arch_text(arch, member->arch), bytes, outcome,
              member->path);
  }
}

static int print(const import_report *report, const import_result *result, const char *dir,
                 const char *error, bool json) {
  const int64_t *counts = result->counts;
  const int code = counts[kMemberRefused] > 0 || error ? kExitCouldNot : kExitDone;
  if (error) output_error("%s", error);
  if (json) {
    json_t *object = json_pack("{s:o, s:O}", "dir", output_text(dir), "members", report->members);
    for (int i = 0; i < kImportOutcomes; ++i) {
      json_object_set_new(object, kOutcomes[i], json_integer((json_int_t)counts[i]));
    }
    if (error) json_object_set_new(object, "error", output_text(error));
    return output_json(object, code);
  }
  if (report->table.row_count > 1) table_print(&report->table, stdout, 0, "lrll");
  printf("%" PRId64 " imported, %" PRId64 " already there, %" PRId64 " refused, %" PRId64
         " skipped, in %s\n",
         counts[kMemberImported], counts[kMemberThere], counts[kMemberRefused],
         counts[kMemberSkipped], dir);
  return code;
}

static const char *archive_name(const cache_command *command) {
  return strcmp(command->file, "-") == 0 ? "standard input" : command->file;
}

static int import_opened(const cache_command *command, import_report *report) {
  cache_places places;
  import_result result;
  char error[sizeof(result.error) + UDM_PATH_SIZE] = "";
  if (!cache_places_find(&command->options, &places)) {
    return output_fail(command->json, "%s", udm_last_error());
  }
  const bool whole =
      import_archive(report->archive, &command->options, add_member, report, &result);
  progress_finish(&report->bar);
  const int64_t entries = result.counts[kMemberImported] + result.counts[kMemberThere];
  if (!whole) {
    snprintf(error, sizeof(error), "%s: %s", archive_name(command), result.error);
  } else if (entries + result.counts[kMemberRefused] == 0) {
    snprintf(error, sizeof(error), "%s: there is no entry in it", archive_name(command));
  }
  return print(report, &result, places.dir, error[0] ? error : NULL, command->json);
}

/* The archive's descriptor, and its size where that is known; -1 with a message in error. */
static int open_archive(const char *name, int64_t *size, char error[UDM_PATH_SIZE + 256]) {
  struct stat status;
  const bool is_stdin = strcmp(name, "-") == 0;
  const int file = is_stdin ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  const char *reason = file < 0 ? strerror(errno) : NULL;
  *size = 0;
  if (!reason && fstat(file, &status) == 0) {
    if (S_ISDIR(status.st_mode)) reason = "it is a folder";
    if (S_ISREG(status.st_mode)) *size = status.st_size;
  }
  if (!reason && isatty(file)) reason = "it is a terminal: name a file, or pipe an archive in";
  if (!reason) return file;
  if (file >= 0) close(file);
  snprintf(error, UDM_PATH_SIZE + 256, "cannot read %.4000s: %s",
           is_stdin ? "standard input" : name, reason);
  return -1;
}

int cache_import(const cache_command *command) {
  enum { kBlockSize = 64 << 10 };
  char error[UDM_PATH_SIZE + 256];
  int64_t size = 0;
  int code = kExitCouldNot;
  import_report report = {.members = NULL};
  const int file = open_archive(command->file, &size, error);
  if (file < 0) return output_fail(command->json, "%s", error);
  report.members = json_array();
  report.archive = import_archive_reader();
  progress_start(&report.bar, "import", size);
  table_add(&report.table, "ARCH\tBYTES\tRESULT\tENTRY");
  if (!report.archive || !report.members) {
    code = output_fail(command->json, "out of memory");
  } else if (archive_read_open_fd(report.archive, file, kBlockSize) != ARCHIVE_OK) {
    code = output_fail(command->json, "%s is no tar archive: %s", archive_name(command),
                       archive_error_string(report.archive));
  } else {
    code = import_opened(command, &report);
  }
  if (report.archive) archive_read_free(report.archive);
  close(file);
  json_decref(report.members);
  table_free(&report.table);
  return code;
}
