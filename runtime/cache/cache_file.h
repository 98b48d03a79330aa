/*
 * cache_file.h: reading, publishing and removing one file of a cache folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CACHE_CACHE_FILE_H
#define UDM_RUNTIME_CACHE_CACHE_FILE_H

#include <stddef.h>
#include <sys/stat.h>

#include "cache/cache_folder.h"

/* No cubin of this kernel comes near it; a file that does is not one. */
#define UDM_CACHE_LARGEST_ENTRY ((size_t)64 << 20)

struct cache_file {
  unsigned char *bytes; /* the caller frees them */
  size_t size;
  struct stat status; /* all 0 when the file could not even be looked at */
  bool missing;       /* there is none: another process has removed it */
};

/*
 * Reads a whole file of the layer, whose folder is open. Returns NULL, or why
 * not. Symbolic links are not followed, FIFOs and folders not opened, files of
 * others not trusted. The access time stays, where the system allows that.
 */
const char *udm_cache_file_read(const struct cache_layer *layer, int folder, const char *name,
                                struct cache_file *file, char reason[UDM_REASON_SIZE]);

/* Whether a file is none that can be an entry, whatever it holds: no regular file, or too large. */
bool udm_cache_file_is_no_entry(const struct stat *status);

/* Notes that an entry was used: its access time, to about a minute. */
void udm_cache_file_touch(int folder, const char *name, const struct stat *status);

/*
 * 0 for a date that is more than a day ahead, of a clock that was wrong: such a file would be the
 * newest and the last one used until then.
 */
int64_t udm_cache_believable_date(int64_t date);

/* When an entry was last used, or made; 0: not known. */
int64_t udm_cache_file_last_used(const struct stat *status);

/*
 * Writes the file so that readers see the old one, the new one, or none, even
 * when the machine stops in between. Whatever has the name gives way to it.
 */
udm_status udm_cache_file_publish(const struct cache_layer *layer, int folder, const char *name,
                                  const void *bytes, size_t size);

/* Whether a name is that of a file which a publisher is writing, or was when it was killed. */
bool udm_cache_is_temporary_name(const char *name);

enum cache_removal {
  CACHE_REMOVED,
  CACHE_REMOVAL_IN_USE,
  CACHE_REMOVAL_REPLACED, /* the name stands for another file by now, which stays */
  CACHE_REMOVAL_FAILED    /* errno */
};

/*
 * Removes a file, unless another process is reading or writing it, or it is no
 * longer the one of `status`. A folder that is not empty is renamed instead, to end
 * in ".folder-<inode>". With dry_run it only says what would come of it.
 */
enum cache_removal udm_cache_file_remove(int folder, const char *name, const struct stat *status,
                                         bool dry_run);

#endif
