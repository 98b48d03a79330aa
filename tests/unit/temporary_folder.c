/*
 * temporary_folder.c: a folder of a test's own, removed after it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "temporary_folder.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmocka_headers.h"

int make_temporary_folder(void **state) {
  const char *root = getenv("TMPDIR");
  char *path = NULL;
  if (asprintf(&path, "%s/udm-test-XXXXXX", root && *root ? root : "/tmp") < 0) return -1;
  if (!mkdtemp(path)) {
    free(path);
    return -1;
  }
  *state = path;
  return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw) {
  (void)status;
  (void)type;
  (void)ftw;
  return remove(path);
}

int remove_temporary_folder(void **state) {
  const int result = nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
  free(*state);
  return result;
}

const char *path_in(const char *folder, const char *name) {
  static char paths[2][4352];
  static int turn;
  turn = !turn;
  assert_true(snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name) <
              (int)sizeof paths[turn]);
  return paths[turn];
}

static void make_parents(const char *path) {
  char *copy = strdup(path);
  for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkdir(copy, 0700);
    *slash = '/';
  }
  free(copy);
}

void write_file(const char *path, const void *bytes, unsigned long size) {
  make_parents(path);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}
