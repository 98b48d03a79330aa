/*
 * library_file.h: the file of a shared library, before the loader maps it: where the loader
 * finds it, and whether it is whole. The loader does not check: it maps a truncated file, and the
 * process dies (SIGBUS) when it touches what is missing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_NVRTC_LIBRARY_FILE_H
#define UDM_RUNTIME_NVRTC_LIBRARY_FILE_H

#include <stdbool.h>

#include "core/status.h"

/*
 * Writes the file that dlopen(library) would open: a path is one already; a bare name is looked
 * for in the loader's folders and in its cache. "" if no file is found.
 */
void udm_library_file(const char *library, char path[UDM_PATH_SIZE]);

/*
 * Returns NO_NVRTC, with the reason, if the file is shorter than its own ELF headers say. OK for
 * a file that is none, or no ELF file: the loader names these faults in its own words.
 */
udm_status udm_library_file_check(const char *path, struct error *error);

/* The files that a search has looked at: one file may have many names. */
struct library_files {
  int count;
  struct {
    unsigned long long device;
    unsigned long long number;
  } files[64]; /* later ones count as new */
};

/* Adds a file. Returns false if it was there already. What is no file counts as new. */
bool udm_library_files_add(struct library_files *files, const char *path);

#endif
