/*
 * import_archive.h: takes the members of an opened archive into the cache, one by one. What they
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

enum import_outcome {
  MEMBER_IMPORTED,
  MEMBER_THERE,   /* the very same entry was there */
  MEMBER_SKIPPED, /* a folder, or a file that a cache has besides entries */
  MEMBER_REFUSED,
  MEMBER_EVICTED /* taken in, and gone again at the end: the size limit */
};
enum { IMPORT_OUTCOMES = 5 };

/* Valid during the call that gives it. No callback is given an evicted one: not yet. */
struct import_member {
  const char *name; /* cut, and without what would steer a terminal */
  enum import_outcome outcome;
  int32_t arch;       /* 0: not known */
  uint64_t bytes;     /* as the archive has it */
  const char *path;   /* of the entry; "" when there is none */
  const char *reason; /* why it was skipped or refused */
};

typedef void (*import_callback)(void *user_data, const struct import_member *member);

struct import_result {
  int64_t counts[IMPORT_OUTCOMES];
  char error[UDM_PATH_SIZE + 1024]; /* why the archive was not read to its end; "" when it was */
};

/*
 * A new reader of tar archives (ustar, pax, GNU), plain or packed with gzip or
 * zstd, not opened yet; NULL without memory. archive_read_free() frees it.
 */
struct archive *import_archive_reader(void);

/* False, and result->error, when it could not go on to the end; what came before it is counted. */
bool import_archive(struct archive *archive, const udm_options *options, import_callback callback,
                    void *user_data, struct import_result *result);

#endif
