/*
 * atomic_file.h: writes a file that appears under its name once it is whole, or not at all.
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
  bool is_stdout;                     /* standard output has no path */
  char path[UDM_PATH_SIZE];           /* the final path, symbolic links resolved */
  char temporary[UDM_PATH_SIZE + 32]; /* the path until the file is whole */
  char error[UDM_PATH_SIZE + 256];
};

/* "-" is standard output if may_be_stdout. On failure returns false and sets file->error. */
bool atomic_file_open(struct atomic_file *file, const char *name, bool may_be_stdout);

/* Writes all bytes. On failure returns false, sets file->error and leaves the file open. */
bool atomic_file_write(struct atomic_file *file, const char *bytes, size_t size);

/* Puts the file in place. On failure returns false, sets file->error and removes what was written.
 */
bool atomic_file_keep(struct atomic_file *file);

/* Removes what was written. Does nothing after atomic_file_keep(). */
void atomic_file_discard(struct atomic_file *file);

#endif
