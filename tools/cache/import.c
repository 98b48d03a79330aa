/*
 * import.c: udm cache import: entries from a tar archive.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache_dirs.h"
#include "command/command.h"
#include "command/output.h"
#include "command/progress.h"
#include "command/text_table.h"
#include "import_archive.h"
#include "subcommand.h"

/* By import_outcome. */
static const char *const outcome_names[IMPORT_OUTCOMES] = {"imported", "there", "skipped",
                                                           "refused", "evicted"};

/* An entry that was taken in. */
struct taken_entry {
  char *member;
  char *path;
  json_t *json; /* of the report's members */
  int32_t arch;
  uint64_t bytes;
  enum import_outcome outcome;
};

struct import_report {
  struct taken_entry *taken;
  size_t taken_count;
  size_t taken_capacity;
  bool out_of_memory;
  json_t *members;
  struct archive *archive;
  struct progress_bar bar;
};

static bool remember_taken(struct import_report *report, const struct import_member *member,
                           json_t *json) {
  if (report->taken_count == report->taken_capacity) {
    const size_t capacity = report->taken_capacity ? 2 * report->taken_capacity : 16;
    struct taken_entry *larger = realloc(report->taken, capacity * sizeof *larger);
    if (!larger) return false;
    report->taken = larger;
    report->taken_capacity = capacity;
  }
  struct taken_entry *entry = &report->taken[report->taken_count++];
  *entry = (struct taken_entry){.member = strdup(member->name),
                                .path = strdup(member->path),
                                .json = json,
                                .arch = member->arch,
                                .bytes = member->bytes,
                                .outcome = member->outcome};
  return entry->member && entry->path;
}

static json_t *member_json(const struct import_member *member) {
  char arch[ARCH_TEXT_SIZE];
  return json_pack("{s:o, s:s, s:o, s:I, s:o, s:o}", "member", output_text(member->name), "outcome",
                   outcome_names[member->outcome], "arch",
                   member->arch ? json_string(cache_arch_text(arch, member->arch)) : json_null(),
                   "bytes", (json_int_t)member->bytes, "path", output_text(member->path), "reason",
                   output_text(member->reason ? member->reason : ""));
}

static void add_member(void *user_data, const struct import_member *member) {
  struct import_report *report = user_data;
  json_t *json = member_json(member);
  progress_update(&report->bar, archive_filter_bytes(report->archive, -1));
  json_array_append_new(report->members, json);
  if (member->outcome == MEMBER_REFUSED) {
    output_error("member '%s' is refused: %s", member->name, member->reason);
  } else if (member->outcome != MEMBER_SKIPPED) {
    if (!remember_taken(report, member, json)) report->out_of_memory = true;
  }
}

static void tell_evicted(struct import_report *report, struct import_result *result) {
  for (size_t i = 0; i < report->taken_count; ++i) {
    struct taken_entry *entry = &report->taken[i];
    if (!entry_is_evicted(entry->path)) continue;
    --result->counts[entry->outcome];
    ++result->counts[MEMBER_EVICTED];
    entry->outcome = MEMBER_EVICTED;
    json_object_set_new(entry->json, "outcome", json_string(outcome_names[MEMBER_EVICTED]));
    json_object_set_new(entry->json, "reason", json_string(evicted_text));
    output_error("member '%s': %s", entry->member, evicted_text);
  }
}

static void print_table(const struct import_report *report) {
  struct text_table table = TABLE_INIT;
  table_add(&table, "ARCH\tBYTES\tRESULT\tENTRY");
  for (size_t i = 0; i < report->taken_count; ++i) {
    const struct taken_entry *entry = &report->taken[i];
    char arch[ARCH_TEXT_SIZE];
    char bytes[32];
    output_bytes(bytes, sizeof bytes, entry->bytes);
    table_add(&table, "%s\t%s\t%s\t%s", cache_arch_text(arch, entry->arch), bytes,
              outcome_names[entry->outcome], entry->path);
  }
  if (report->taken_count > 0) table_print(&table, stdout, 0, "lrll");
  table_free(&table);
}

static int print(const struct import_report *report, const struct import_result *result,
                 const char *dir, const char *error, bool json) {
  const int64_t *counts = result->counts;
  const bool all = counts[MEMBER_REFUSED] + counts[MEMBER_EVICTED] == 0 && !error;
  const int code = all ? EXIT_DONE : EXIT_COULD_NOT;
  if (error) output_error("%s", error);
  if (json) {
    json_t *object = json_pack("{s:o, s:O}", "dir", output_text(dir), "members", report->members);
    for (int i = 0; i < IMPORT_OUTCOMES; ++i) {
      json_object_set_new(object, outcome_names[i], json_integer((json_int_t)counts[i]));
    }
    if (error) json_object_set_new(object, "error", output_text(error));
    return output_json(object, code);
  }
  print_table(report);
  printf("%" PRId64 " imported, %" PRId64 " already there, %" PRId64 " refused, %" PRId64
         " skipped, ",
         counts[MEMBER_IMPORTED], counts[MEMBER_THERE], counts[MEMBER_REFUSED],
         counts[MEMBER_SKIPPED]);
  if (counts[MEMBER_EVICTED] > 0) printf("%" PRId64 " evicted, ", counts[MEMBER_EVICTED]);
  printf("in %s\n", dir);
  return code;
}

static const char *archive_name(const struct cache_command *command) {
  return strcmp(command->file, "-") == 0 ? "standard input" : command->file;
}

static int import_opened(const struct cache_command *command, struct import_report *report) {
  struct cache_dirs dirs;
  struct import_result result;
  char error[sizeof result.error + UDM_PATH_SIZE] = "";
  if (!cache_dirs_find(&command->options, &dirs)) {
    return output_fail(command->json, "%s", udm_last_error());
  }
  const bool whole =
      import_archive(report->archive, &command->options, add_member, report, &result);
  progress_finish(&report->bar);
  if (report->out_of_memory) return output_fail(command->json, "out of memory");
  const int64_t entries = result.counts[MEMBER_IMPORTED] + result.counts[MEMBER_THERE];
  tell_evicted(report, &result);
  if (!whole) {
    snprintf(error, sizeof error, "%s: %s", archive_name(command), result.error);
  } else if (entries + result.counts[MEMBER_REFUSED] == 0) {
    snprintf(error, sizeof error, "%s: there is no entry in it", archive_name(command));
  }
  return print(report, &result, dirs.dir, error[0] ? error : NULL, command->json);
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

static void free_taken(struct import_report *report) {
  for (size_t i = 0; i < report->taken_count; ++i) {
    free(report->taken[i].member);
    free(report->taken[i].path);
  }
  free(report->taken);
}

int cache_import(const struct cache_command *command) {
  enum { BLOCK_SIZE = 64 << 10 };
  char error[UDM_PATH_SIZE + 256];
  int64_t size = 0;
  int code = EXIT_COULD_NOT;
  struct import_report report = {.members = NULL};
  const int file = open_archive(command->file, &size, error);
  if (file < 0) return output_fail(command->json, "%s", error);
  report.members = json_array();
  report.archive = import_archive_reader();
  progress_start(&report.bar, "import", size);
  if (!report.archive || !report.members) {
    code = output_fail(command->json, "out of memory");
  } else if (archive_read_open_fd(report.archive, file, BLOCK_SIZE) != ARCHIVE_OK) {
    code = output_fail(command->json, "%s is no tar archive: %s", archive_name(command),
                       archive_error_string(report.archive));
  } else {
    code = import_opened(command, &report);
  }
  if (report.archive) archive_read_free(report.archive);
  close(file);
  json_decref(report.members);
  free_taken(&report);
  return code;
}
