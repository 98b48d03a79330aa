/*
 * atomic_file.h: a file that a command writes: it appears under its name when it is whole, or not
 * at all.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_COMMAND_ATOMIC_FILE_H
#define UDM_TOOLS_COMMAND_ATOMIC_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "udm.h"

struct atomic_file {
  int descriptor;                     /* -1: not open */
  bool is_stdout;                     /* then there is no name */
  char path[UDM_PATH_SIZE];           /* where it goes; a symbolic link is resolved */
  char temporary[UDM_PATH_SIZE + 32]; /* where it is until then */
  char error[UDM_PATH_SIZE + 256];
};

/* "-" is standard output if may_be_stdout. False, and file->error, when it cannot be opened. */
bool atomic_file_open(struct atomic_file *file, const char *name, bool may_be_stdout);

/* Writes all of it. False, and file->error, when that fails; the file is still open then. */
bool atomic_file_write(struct atomic_file *file, const char *bytes, size_t size);

/* Puts it in place. False, and file->error, when that fails: then nothing is left of it. */
bool atomic_file_keep(struct atomic_file *file);

/* Removes what was written; nothing happens after atomic_file_keep(). */
void atomic_file_discard(struct atomic_file *file);

#endif
