/*
 * The file that an archive is written to: it appears under its name when it is
 * whole, or not at all.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_CACHE_ARCHIVE_FILE_H
#define UDM_TOOLS_CACHE_ARCHIVE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "udm.h"

typedef struct archive_file {
  int descriptor;                     /* -1: not open */
  bool is_stdout;                     /* then there is no name */
  char path[UDM_PATH_SIZE];           /* where it goes; a symbolic link is resolved */
  char temporary[UDM_PATH_SIZE + 32]; /* where it is until then */
  char error[UDM_PATH_SIZE + 256];
} archive_file;

/* name "-" is standard output. False, and file->error, when it cannot be opened. */
bool archive_file_open(archive_file *file, const char *name);

/* Puts it in place. False, and file->error, when that fails: then nothing is left of it. */
bool archive_file_keep(archive_file *file);

/* Removes what was written; nothing happens after archive_file_keep(). */
void archive_file_discard(archive_file *file);

#endif /* UDM_TOOLS_CACHE_ARCHIVE_FILE_H */
