/*
 * export.c: udm cache export: the good entries of all layers in one tar archive. The same
 * entries always make the same archive, byte for byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cache_dirs.h"
#include "command/atomic_file.h"
#include "command/command.h"
#include "command/output.h"
#include "command/progress.h"
#include "subcommand.h"

/* 1980-01-01: when an entry was made is nobody's business, and 0 makes tar programs complain. */
enum { MEMBER_TIME = 315532800 };

struct exporting {
  const struct cache_command *command;
  struct atomic_file file;
  struct archive *archive;
  bool given_up;   /* nothing more is written */
  json_t *members; /* by name: of two layers that have the same entry, the first counts */
  json_int_t bytes;
  json_int_t left_out; /* bad ones, and stale ones unless they are wanted */
  const char *error;   /* of the archive; NULL: none */
  char problem[512];   /* holds it */
  struct progress_bar bar;
};

static const char *file_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* What libarchive says, with the reason of the system. */
static const char *archive_problem(struct exporting *export) {
  const char *text = archive_error_string(export->archive);
  const int error = archive_errno(export->archive);
  snprintf(export->problem, sizeof export->problem, "%s%s%s", text ? text : "no archive",
           error > 0 ? ": " : "", error > 0 ? strerror(error) : "");
  return export->problem;
}

/* Whether the member was written; otherwise export->error says why not. */
static bool write_member(struct exporting *export, const char *name, const void *bytes,
                         size_t size) {
  struct archive_entry *header = archive_entry_new();
  bool good = header != NULL;
  if (good) {
    archive_entry_set_pathname(header, name);
    archive_entry_set_filetype(header, AE_IFREG);
    archive_entry_set_perm(header, 0600);
    archive_entry_set_size(header, (la_int64_t)size);
    archive_entry_set_mtime(header, MEMBER_TIME, 0);
    good = archive_write_header(export->archive, header) == ARCHIVE_OK &&
           archive_write_data(export->archive, bytes, size) == (la_ssize_t)size &&
           archive_write_finish_entry(export->archive) == ARCHIVE_OK;
    if (!good) export->error = archive_problem(export);
    archive_entry_free(header);
  }
  if (!good && !export->error) export->error = "out of memory";
  return good;
}

static int add_entry(void *user_data, const udm_cache_entry_info *entry) {
  struct exporting *export = user_data;
  const char *name = file_name(entry->path);
  char arch[ARCH_TEXT_SIZE];
  if (json_object_get(export->members, name)) return 0;
  if (entry->state == UDM_CACHE_ENTRY_BAD) {
    output_error("%s: left out: %s", entry->path, entry->reason);
  }
  if (entry->state != UDM_CACHE_ENTRY_OK &&
      !(entry->state == UDM_CACHE_ENTRY_STALE && export->command->stale)) {
    ++export->left_out;
    return 0;
  }
  if (!write_member(export, name, entry->contents, (size_t)entry->bytes)) return 1;
  export->bytes += (json_int_t)entry->bytes;
  json_object_set_new(
      export->members, name,
      json_pack("{s:s, s:s, s:I, s:s}", "member", name, "arch", cache_arch_text(arch, entry->arch),
                "bytes", (json_int_t)entry->bytes, "state",
                udm_cache_entry_state_name(entry->state)));
  progress_update(&export->bar, (int64_t)json_object_size(export->members));
  return 0;
}

/*
 * Instead of libarchive's own writing to a descriptor: when the export is given
 * up, freeing the archive would still write what is left, and a proper end.
 */
static la_ssize_t write_block(struct archive *archive, void *user_data, const void *block,
                              size_t size) {
  const struct exporting *export = user_data;
  if (export->given_up) return (la_ssize_t)size;
  ssize_t count;
  do {
    count = write(export->file.descriptor, block, size);
  } while (count < 0 && errno == EINTR);
  if (count < 0) archive_set_error(archive, errno, "write");
  return count;
}

/* NULL, or why there is no archive. */
static const char *write_archive(struct exporting *export) {
  if (archive_write_set_format_ustar(export->archive) != ARCHIVE_OK ||
      archive_write_add_filter_none(export->archive) != ARCHIVE_OK ||
      archive_write_set_bytes_in_last_block(export->archive, 1) != ARCHIVE_OK ||
      archive_write_open(export->archive, export, NULL, write_block, NULL) != ARCHIVE_OK) {
    return archive_problem(export);
  }
  progress_start(&export->bar, "export", 0);
  const udm_status status = udm_cache_enumerate(&export->command->options, add_entry, export);
  progress_finish(&export->bar);
  if (export->error) return export->error;
  if (status != UDM_OK) return udm_last_error();
  if (json_object_size(export->members) == 0) {
    return "there is no good entry to export: 'udm cache list' shows what there is, 'udm prewarm' "
           "makes some";
  }
  if (archive_write_close(export->archive) != ARCHIVE_OK) {
    return archive_problem(export);
  }
  return atomic_file_keep(&export->file) ? NULL : export->file.error;
}

static json_t *members_json(const struct exporting *export) {
  json_t *list = json_array();
  const char *name = NULL;
  json_t *member = NULL;
  json_object_foreach(export->members, name, member) { json_array_append(list, member); }
  return list;
}

static int report(const struct exporting *export) {
  const struct atomic_file *file = &export->file;
  const size_t count = json_object_size(export->members);
  char bytes[32];
  if (export->command->json) {
    return output_json(json_pack("{s:o, s:I, s:I, s:I, s:o}", "file", output_text(file->path),
                                 "exported", (json_int_t)count, "bytes", export->bytes, "left_out",
                                 export->left_out, "members", members_json(export)),
                       EXIT_DONE);
  }
  output_bytes(bytes, sizeof bytes, (uint64_t) export->bytes);
  fprintf(file->is_stdout ? stderr : stdout,
          "exported %zu %s, %s, to %s; left out %" JSON_INTEGER_FORMAT "\n", count,
          count == 1 ? "entry" : "entries", bytes, file->is_stdout ? "standard output" : file->path,
          export->left_out);
  return EXIT_DONE;
}

int cache_export(const struct cache_command *command) {
  struct exporting export = {.command = command};
  int code = EXIT_COULD_NOT;
  if (!atomic_file_open(&export.file, command->file, true)) {
    return output_fail(command->json, "%s", export.file.error);
  }
  export.archive = archive_write_new();
  export.members = json_object();
  const char *error = export.archive && export.members ? write_archive(&export) : "out of memory";
  if (error) {
    export.given_up = true;
    atomic_file_discard(&export.file);
    code = output_fail(command->json, "export to %s: %s",
                       export.file.is_stdout ? "standard output" : command->file, error);
  } else {
    code = report(&export);
  }
  if (export.archive) archive_write_free(export.archive);
  json_decref(export.members);
  return code;
}
