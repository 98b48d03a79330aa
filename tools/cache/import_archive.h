/*
 * Takes the members of an opened archive into the cache, one by one. What they
 * are called decides nothing but what is said about them; memory is bounded by
 * the largest entry.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_CACHE_IMPORT_ARCHIVE_H
#define UDM_TOOLS_CACHE_IMPORT_ARCHIVE_H

#include <archive.h>
#include <stdbool.h>
#include <stdint.h>

#include "udm.h"

typedef enum import_outcome {
  kMemberImported,
  kMemberThere,   /* the very same entry was there */
  kMemberSkipped, /* a folder, or a file that a cache has besides entries */
  kMemberRefused,
  kMemberEvicted /* taken in, and gone again at the end: the size limit */
} import_outcome;
enum { kImportOutcomes = 5 };

/* Valid during the call that gives it. No callback is given an evicted one: not yet. */
typedef struct import_member {
  const char *name; /* cut, and without what would steer a terminal */
  import_outcome outcome;
  int32_t arch;       /* 0: not known */
  uint64_t bytes;     /* as the archive has it */
  const char *path;   /* of the entry; "" when there is none */
  const char *reason; /* why it was skipped or refused */
} import_member;

typedef void (*import_callback)(void *user_data, const import_member *member);

typedef struct import_result {
  int64_t counts[kImportOutcomes];
  char error[UDM_PATH_SIZE + 1024]; /* why the archive was not read to its end; "" when it was */
} import_result;

/*
 * A new reader of tar archives (ustar, pax, GNU), plain or packed with gzip or
 * zstd, not opened yet; NULL without memory. archive_read_free() frees it.
 */
struct archive *import_archive_reader(void);

/* False, and result->error, when it could not go on to the end; what came before it is counted. */
bool import_archive(struct archive *archive, const udm_options *options, import_callback callback,
                    void *user_data, import_result *result);

#endif /* UDM_TOOLS_CACHE_IMPORT_ARCHIVE_H */
