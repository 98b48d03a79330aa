/*
 * run_corpus.c: runs a fuzz target once over every file of the named folders,
 * without libFuzzer: the corpus as an ordinary test.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz_target.h"

static void run_file(const char *path) {
  FILE *file = fopen(path, "rb");
  struct stat status;
  FUZZ_CHECK(file && fstat(fileno(file), &status) == 0);
  const size_t size = (size_t)status.st_size;
  uint8_t *bytes =
      malloc(size ? size : 1); /* of this exact size, so that a sanitizer sees a read past it */
  FUZZ_CHECK(bytes && fread(bytes, 1, size, file) == size);
  fclose(file);
  LLVMFuzzerTestOneInput(bytes, size);
  free(bytes);
}

static int run_folder(const char *folder) {
  char path[4096];
  int count = 0;
  DIR *listing = opendir(folder);
  FUZZ_CHECK(listing);
  for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
    if (entry->d_name[0] == '.') continue;
    FUZZ_CHECK(snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path);
    run_file(path);
    ++count;
  }
  closedir(listing);
  return count;
}

int main(int argc, char **argv) {
  int count = 0;
  for (int i = 1; i < argc; ++i) count += run_folder(argv[i]);
  printf("%d files\n", count);
  return count > 0 ? 0 : 1;
}
