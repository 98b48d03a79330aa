/*
 * import_archive.c: takes the members of an opened archive into the cache: see import_archive.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "import_archive.h"

#include <archive_entry.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The library takes no larger entry in. */
#define LARGEST_MEMBER ((size_t)64 << 20)
/* What is no entry costs work to get past: no archive of a cache has so much of it. */
#define MOST_BYTES_PASSED ((int64_t)1 << 30)
enum { MOST_MEMBERS = 65536, MOST_MEMBERS_PASSED = 1000, NAME_SIZE = 256 };

struct importing {
  struct archive *archive;
  const udm_options *options;
  import_callback callback;
  void *user_data;
  struct import_result *result;
  unsigned char *buffer; /* grows with what is read, whatever the archive promises */
  size_t capacity;
  int64_t bytes_passed;
};

struct archive *import_archive_reader(void) {
  struct archive *archive = archive_read_new();
  if (!archive) return NULL;
  archive_read_support_filter_gzip(archive);
  archive_read_support_filter_zstd(archive);
  archive_read_support_format_tar(archive);
  return archive;
}

static void name_for_people(struct archive_entry *header, char name[NAME_SIZE]) {
  const char *given = archive_entry_pathname(header);
  if (!given) given = archive_entry_pathname_utf8(header);
  snprintf(name, NAME_SIZE, "%s", given ? given : "(a name that cannot be read)");
  for (char *byte = name; *byte; ++byte) {
    if (iscntrl((unsigned char)*byte)) *byte = '?';
  }
}

static bool stop(struct importing *import, const char *name, const char *reason) {
  snprintf(import->result->error, sizeof import->result->error, "%s%s%s%s", name ? "member '" : "",
           name ? name : "", name ? "': " : "", reason ? reason : "the archive cannot be read");
  return false;
}

static void tell(struct importing *import, const struct import_member *member) {
  ++import->result->counts[member->outcome];
  if (import->callback) import->callback(import->user_data, member);
}

/* Tells of a member that is not taken in; false when there were too many of them. */
static bool pass(struct importing *import, struct import_member *member,
                 enum import_outcome outcome, const char *reason) {
  const int64_t *counts = import->result->counts;
  member->outcome = outcome;
  member->reason = reason;
  tell(import, member);
  import->bytes_passed += member->bytes < (uint64_t)MOST_BYTES_PASSED ? (int64_t)member->bytes
      : MOST_BYTES_PASSED;
  if (import->bytes_passed >= MOST_BYTES_PASSED ||
      counts[MEMBER_SKIPPED] + counts[MEMBER_REFUSED] > MOST_MEMBERS_PASSED) {
    return stop(import, member->name,
                "too much before and in it is no entry: this is no archive of a cache, and is not "
                "read any further");
  }
  return true;
}

static bool reserve(struct importing *import, size_t size) {
  if (size <= import->capacity) return true;
  unsigned char *larger = realloc(import->buffer, size);
  if (!larger) return false;
  import->buffer = larger;
  import->capacity = size;
  return true;
}

/* Reads the member's data: its size, at most LARGEST_MEMBER + 1, or -1 (result->error is set). */
static int64_t read_data(struct importing *import, const char *name) {
  enum { FIRST = 64 << 10 };
  size_t size = 0;
  for (;;) {
    if (size > LARGEST_MEMBER) return (int64_t)size;
    if (size == import->capacity || import->capacity == 0) {
      size_t wanted = import->capacity ? 2 * import->capacity : FIRST;
      if (wanted > LARGEST_MEMBER) wanted = LARGEST_MEMBER + 1;
      if (!reserve(import, wanted)) {
        stop(import, name, "out of memory");
        return -1;
      }
    }
    const la_ssize_t count =
        archive_read_data(import->archive, import->buffer + size, import->capacity - size);
    if (count < 0) {
      stop(import, name, archive_error_string(import->archive));
      return -1;
    }
    if (count == 0) return (int64_t)size;
    size += (size_t)count;
  }
}

/* Hands the bytes to the library, which checks them. */
static bool take_in(struct importing *import, struct import_member *member, size_t size) {
  udm_cache_import_result entry = {.struct_size = sizeof entry};
  const udm_status status = udm_cache_import(import->options, import->buffer, size, &entry);
  if (status == UDM_ERROR_INVALID_ARGUMENT) {
    return pass(import, member, MEMBER_REFUSED, udm_last_error());
  }
  if (status != UDM_OK) return stop(import, member->name, udm_last_error());
  struct import_member taken = *member;
  taken.outcome = entry.imported ? MEMBER_IMPORTED : MEMBER_THERE;
  taken.arch = entry.arch;
  taken.path = entry.path;
  tell(import, &taken);
  return true;
}

/* The lock file, and what killed processes left: they come along when a folder is packed. */
static bool is_hidden(const char *name) {
  const char *slash = strrchr(name, '/');
  return (slash ? slash[1] : name[0]) == '.';
}

static bool import_one(struct importing *import, struct archive_entry *header) {
  char name[NAME_SIZE];
  name_for_people(header, name);
  const int64_t size = archive_entry_size(header);
  struct import_member member = {.name = name, .bytes = size > 0 ? (uint64_t)size : 0, .path = ""};
  const bool is_link = archive_entry_hardlink(header) || archive_entry_symlink(header);
  if (archive_entry_filetype(header) == AE_IFDIR) {
    return pass(import, &member, MEMBER_SKIPPED, "a folder");
  }
  if (is_link || archive_entry_filetype(header) != AE_IFREG) {
    return pass(import, &member, MEMBER_REFUSED,
                is_link ? "a link" : "a device, a FIFO or a socket");
  }
  if (size < 0 || (uint64_t)size > LARGEST_MEMBER) {
    return pass(import, &member, MEMBER_REFUSED, "larger than any entry (64 MiB)");
  }
  if (is_hidden(name)) return pass(import, &member, MEMBER_SKIPPED, "no entry has such a name");
  const int64_t got = read_data(import, name);
  if (got < 0) return false;
  if ((size_t)got > LARGEST_MEMBER) {
    return pass(import, &member, MEMBER_REFUSED, "larger than any entry (64 MiB)");
  }
  return take_in(import, &member, (size_t)got);
}

bool import_archive(struct archive *archive, const udm_options *options, import_callback callback,
                    void *user_data, struct import_result *result) {
  struct importing import = {archive, options, callback, user_data, result, NULL, 0, 0};
  bool good = true;
  memset(result, 0, sizeof *result);
  for (int members = 0; good; ++members) {
    struct archive_entry *header = NULL;
    const int outcome = archive_read_next_header(archive, &header);
    if (outcome == ARCHIVE_EOF) break;
    if (outcome < ARCHIVE_WARN) {
      good = stop(&import, NULL, archive_error_string(archive));
    } else if (members == MOST_MEMBERS) {
      good = stop(&import, NULL, "more members than any cache has entries");
    } else {
      good = import_one(&import, header);
    }
  }
  free(import.buffer);
  return good;
}
