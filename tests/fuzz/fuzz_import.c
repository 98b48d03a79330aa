/*
 * fuzz_import.c: udm cache import of any archive, into a cache of its own. Only
 * whole entries may appear in the cache, and nothing outside it. The target first
 * corrects the checksums of the tar headers, which would reject nearly every
 * mutation.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <archive.h>
#include <dirent.h>
#include <ftw.h>
#include <string.h>
#include <unistd.h>

#include "cache/import_archive.h"
#include "fuzz_target.h"

enum { BLOCK = 512, SIZE_FIELD = 124, SIZE_DIGITS = 12, SUM_FIELD = 148, SUM_DIGITS = 8 };

static char folder[64];
static char cache[80];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where) {
  (void)status, (void)type, (void)where;
  return remove(path);
}

static void remove_folder(void) { nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS); }

static void prepare(void) {
  static const char *const variables[] = {"UDM_CACHE_DIR", "UDM_CACHE_PATH", "UDM_CACHE_MAX_BYTES"};
  const char *parent = getenv("TMPDIR");
  if (folder[0]) return;
  for (size_t i = 0; i < sizeof variables / sizeof variables[0]; ++i) unsetenv(variables[i]);
  snprintf(folder, sizeof folder, "%.40s/udm-fuzz-XXXXXX", parent ? parent : "/tmp");
  FUZZ_CHECK(mkdtemp(folder));
  atexit(remove_folder);
  snprintf(cache, sizeof cache, "%s/cache", folder);
}

static void put_header_sums_right(uint8_t *bytes, size_t size) {
  size_t offset = 0;
  while (size - offset >= BLOCK) {
    uint8_t *header = bytes + offset;
    unsigned sum = 0;
    size_t length = 0;
    memset(header + SUM_FIELD, ' ', SUM_DIGITS);
    for (int i = 0; i < BLOCK; ++i) sum += header[i];
    snprintf((char *)header + SUM_FIELD, SUM_DIGITS, "%06o", sum);
    for (int i = 0; i < SIZE_DIGITS; ++i) {
      const uint8_t digit = header[SIZE_FIELD + i];
      if (digit >= '0' && digit <= '7') length = length * 8 + (size_t)(digit - '0');
    }
    const size_t blocks = 1 + (length + BLOCK - 1) / BLOCK;
    if (blocks > (size - offset) / BLOCK) return;
    offset += blocks * BLOCK;
  }
}

static void count_member(void *user_data, const struct import_member *member) {
  FUZZ_CHECK(member->name && member->path);
  FUZZ_CHECK((member->reason != NULL) ==
             (member->outcome == MEMBER_REFUSED || member->outcome == MEMBER_SKIPPED));
  ++*(int64_t *)user_data;
}

static int expect_whole(void *user_data, const udm_cache_entry_info *entry) {
  FUZZ_CHECK(entry->state != UDM_CACHE_ENTRY_BAD);
  ++*(int64_t *)user_data;
  return 0;
}

/* Nothing but the cache lies in the folder above it, and only entries in the cache. */
static void check_places(const udm_options *options, int64_t imported) {
  const udm_cache_prune_options all = {sizeof all, UDM_CACHE_PRUNE_ALL, 0, NULL, -1, UINT64_MAX};
  int64_t entries = 0;
  DIR *listing = opendir(folder);
  FUZZ_CHECK(listing);
  for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
    const char *name = entry->d_name;
    FUZZ_CHECK(!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "cache"));
  }
  closedir(listing);
  if (imported == 0) return;
  FUZZ_CHECK(udm_cache_enumerate(options, expect_whole, &entries) == UDM_OK);
  FUZZ_CHECK(entries > 0 && entries <= imported);
  FUZZ_CHECK(udm_cache_prune(options, &all, NULL, NULL, NULL) == UDM_OK);
}

static void import_bytes(const uint8_t *bytes, size_t size) {
  udm_options options = UDM_OPTIONS_INIT;
  struct import_result result;
  int64_t members = 0;
  int64_t counted = 0;
  struct archive *archive = import_archive_reader();
  FUZZ_CHECK(archive);
  options.cache_dir = cache;
  if (archive_read_open_memory(archive, bytes, size) == ARCHIVE_OK) {
    const bool good = import_archive(archive, &options, count_member, &members, &result);
    FUZZ_CHECK(good == (result.error[0] == '\0'));
    for (int i = 0; i < IMPORT_OUTCOMES; ++i) counted += result.counts[i];
    FUZZ_CHECK(members == counted);
    check_places(&options, result.counts[MEMBER_IMPORTED]);
  }
  archive_read_free(archive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  prepare();
  import_bytes(data, size);
  uint8_t *bytes = malloc(size + 1);
  FUZZ_CHECK(bytes);
  memcpy(bytes, data, size);
  put_header_sums_right(bytes, size);
  if (memcmp(bytes, data, size) != 0) import_bytes(bytes, size);
  free(bytes);
  return 0;
}
