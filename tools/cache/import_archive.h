/*
 * import_archive.h: imports the members of an opened archive, one by one. Their names matter only
 * in messages. Memory is bounded by the largest entry.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_CACHE_IMPORT_ARCHIVE_H
#define UDM_TOOLS_CACHE_IMPORT_ARCHIVE_H

#include <archive.h>
#include <stdbool.h>
#include <stdint.h>

#include "udm.h"

enum import_outcome {
  MEMBER_IMPORTED,
  MEMBER_THERE,   /* the cache has the same entry */
  MEMBER_SKIPPED, /* a folder, or a file that lies in a cache beside entries */
  MEMBER_REJECTED,
  MEMBER_EVICTED /* imported, then removed to keep the size limit */
};
enum { IMPORT_OUTCOMES = 5 };

/* Valid during the callback. Its outcome is never MEMBER_EVICTED: the caller finds those at the
 * end. */
struct import_member {
  const char *name; /* cut, and without control characters */
  enum import_outcome outcome;
  int32_t arch;       /* 0: not known */
  uint64_t bytes;     /* as the archive claims */
  const char *path;   /* of the entry; "" if there is none */
  const char *reason; /* why it was skipped or rejected */
};

typedef void (*import_callback)(void *user_data, const struct import_member *member);

struct import_result {
  int64_t counts[IMPORT_OUTCOMES];
  char error[UDM_PATH_SIZE + 1024]; /* why reading stopped early; "" if it did not */
};

/*
 * Returns a reader of tar archives (ustar, pax, GNU), plain or compressed with gzip or zstd, that
 * is not opened yet; NULL if memory runs out. archive_read_free() frees it.
 */
struct archive *import_archive_reader(void);

/* Reads to the end. On failure returns false and sets result->error; result counts what came
 * before. */
bool import_archive(struct archive *archive, const udm_options *options, import_callback callback,
                    void *user_data, struct import_result *result);

#endif
