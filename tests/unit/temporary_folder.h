/*
 * temporary_folder.h: a folder of a test's own, removed after it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_TEMPORARY_FOLDER_H
#define UDM_TESTS_TEMPORARY_FOLDER_H

/* cmocka setup and teardown: *state is the path (mode 0700), without a slash at its end. */
int make_temporary_folder(void **state);
int remove_temporary_folder(void **state);

/* folder/name, in a static buffer: valid until the call after the next. */
const char *path_in(const char *folder, const char *name);

/* Creates a file with these bytes, making its parent folders. */
void write_file(const char *path, const void *bytes, unsigned long size);

#endif
