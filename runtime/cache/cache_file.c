/*
 * cache_file.c: reads, writes and removes one file of a cache folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cache/cache.h"
#include "core/allocator.h"

/* ".udm-", 24 hexadecimal digits, ".tmp" and the 0. */
enum { TEMPORARY_NAME_SIZE = 5 + 24 + 4 + 1 };

static udm_status fail_call(struct error *error, int number) {
  char text[UDM_ERRNO_TEXT_SIZE];
  return udm_fail(error, UDM_ERROR_CACHE, "%s%s", udm_errno_text(number, text),
                  number == EACCES ? ": let this user read it (chmod a+r)" : "");
}

static udm_status read_all(int file, unsigned char *bytes, size_t size, struct error *error) {
  size_t done = 0;
  while (done < size) {
    const ssize_t count = read(file, bytes + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_call(error, errno);
    if (count == 0) return udm_fail(error, UDM_ERROR_CACHE, "it became shorter while it was read");
    done += (size_t)count;
  }
  return UDM_OK;
}

/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
enum { OPEN_FLAGS = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC };

/* Only the owner may use O_NOATIME. */
static int open_for_reading(int folder, const char *name) {
  const int file = openat(folder, name, O_RDONLY | O_NOATIME | OPEN_FLAGS);
  return file >= 0 || errno != EPERM ? file : openat(folder, name, O_RDONLY | OPEN_FLAGS);
}

static bool is_too_large(const struct stat *status) {
  return (uint64_t)status->st_size > UDM_CACHE_LARGEST_ENTRY;
}

bool udm_cache_file_not_an_entry(const struct stat *status) {
  return status->st_mode != 0 && (!S_ISREG(status->st_mode) || is_too_large(status));
}

/* Also looks at what has the name: a folder or a symbolic link is removed by a repair. */
static udm_status fail_open(const struct cache_dir *dir, const char *name, int number,
                            struct cache_file *file, struct error *error) {
  file->missing = number == ENOENT;
  if (fstatat(dir->fd, name, &file->status, AT_SYMLINK_NOFOLLOW) != 0) {
    memset(&file->status, 0, sizeof file->status);
  }
  if (number != ELOOP) return fail_call(error, number);
  return udm_fail(error, UDM_ERROR_CACHE, "it is a symbolic link, which is not followed");
}

static udm_status check_status(const struct cache_dir *dir, int file, struct stat *status,
                               struct error *error) {
  if (fstat(file, status) != 0) return fail_call(error, errno);
  if (!S_ISREG(status->st_mode)) return udm_fail(error, UDM_ERROR_CACHE, "not a regular file");
  const udm_status result = udm_cache_dir_check_owner(dir, status, error);
  if (result != UDM_OK || !is_too_large(status)) return result;
  return udm_fail(error, UDM_ERROR_CACHE, "too large for an entry");
}

udm_status udm_cache_file_read(const struct cache_dir *dir, const char *name,
                               struct cache_file *file, struct error *error) {
  unsigned char *bytes = NULL;
  memset(file, 0, sizeof *file);
  const int descriptor = open_for_reading(dir->fd, name);
  if (descriptor < 0) return fail_open(dir, name, errno, file, error);
  udm_cache_mark_in_use(descriptor, false);
  udm_status status = check_status(dir, descriptor, &file->status, error);
  if (status != UDM_OK) goto done;

  file->size = (size_t)file->status.st_size;
  bytes = udm_malloc(file->size + 1); /* the decoder deals with an empty file */
  status = bytes ? read_all(descriptor, bytes, file->size, error)
                 : udm_fail_memory(error, "a cache entry", file->size + 1);
  if (status != UDM_OK) goto done;
  file->bytes = bytes;
  bytes = NULL;

done:
  udm_free(bytes);
  close(descriptor);
  return status;
}

enum { TOUCH_SECONDS = 60 };

void udm_cache_file_touch(const struct cache_dir *dir, const char *name,
                          const struct stat *status) {
  static const struct timespec now_and_kept[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  const int64_t age = (int64_t)time(NULL) - (int64_t)status->st_atim.tv_sec;
  if (age >= 0 && age < TOUCH_SECONDS) return; /* spares a shared home that many ranks use */
  utimensat(dir->fd, name, now_and_kept, AT_SYMLINK_NOFOLLOW);
}

enum { CLOCK_SKEW_SECONDS = 24 * 60 * 60 };

int64_t udm_cache_sane_mtime(int64_t seconds) {
  return seconds <= (int64_t)time(NULL) + CLOCK_SKEW_SECONDS ? seconds : 0;
}

int64_t udm_cache_file_last_used(const struct stat *status) {
  const int64_t used = udm_cache_sane_mtime(status->st_atim.tv_sec);
  const int64_t made = udm_cache_sane_mtime(status->st_mtim.tv_sec);
  if (used != status->st_atim.tv_sec) return 0;
  return used > made ? used : made;
}

bool udm_cache_is_temporary_name(const char *name) {
  const size_t length = strlen(name);
  return length == TEMPORARY_NAME_SIZE - 1 && strncmp(name, ".udm-", 5) == 0 &&
         strcmp(name + length - 4, ".tmp") == 0 && strspn(name + 5, "0123456789abcdef") == 24;
}

/*
 * True if the name still belongs to the file with this status. The inode number alone is not
 * enough: a file system may reuse the number of a removed file at once.
 */
static bool is_same_file(int folder, const char *name, const struct stat *status) {
  struct stat now;
  return fstatat(folder, name, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_dev == status->st_dev &&
         now.st_ino == status->st_ino && now.st_size == status->st_size &&
         now.st_mtim.tv_sec == status->st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == status->st_mtim.tv_nsec;
}

/*
 * Removes a folder that has the name of an entry, or moves it aside if it is not empty, since its
 * content does not belong to the cache. Returns 0, or -1 and errno.
 */
static int clear_folder(int folder, const char *name, const struct stat *status) {
  char aside[UDM_CACHE_NAME_SIZE + 32];
  if (unlinkat(folder, name, AT_REMOVEDIR) == 0) return 0;
  if (errno != ENOTEMPTY && errno != EEXIST) return -1;
  const int length =
      snprintf(aside, sizeof aside, "%s.folder-%llx", name, (unsigned long long)status->st_ino);
  if (length < (int)sizeof aside) return renameat(folder, name, folder, aside);
  errno = ENAMETOOLONG;
  return -1;
}

static int clear_name(int folder, const char *name, const struct stat *status) {
  if (S_ISDIR(status->st_mode)) return clear_folder(folder, name, status);
  return unlinkat(folder, name, 0);
}

enum cache_removal udm_cache_file_remove(const struct cache_dir *dir, const char *name,
                                         const struct stat *status, bool dry_run,
                                         struct error *error) {
  const int folder = dir->fd;
  enum cache_removal outcome = CACHE_REMOVED;
  int file = -1;
  if (S_ISREG(status->st_mode)) file = openat(folder, name, O_RDWR | OPEN_FLAGS);
  if (file >= 0 && udm_cache_try_exclusive(file) == CACHE_IN_USE) {
    outcome = CACHE_REMOVAL_IN_USE;
  } else if (!is_same_file(folder, name, status)) {
    outcome = CACHE_REMOVAL_REPLACED;
  } else if (!dry_run && clear_name(folder, name, status) != 0) {
    outcome = CACHE_REMOVAL_FAILED;
    fail_call(error, errno);
  }
  if (file >= 0) close(file);
  return outcome;
}

/* Beyond RLIMIT_FSIZE a write would kill the process with SIGXFSZ. */
static bool may_write(size_t size) {
  struct rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
         size <= limit.rlim_cur;
}

/* Returns 0, or -1 and errno. */
static int write_all(int file, const unsigned char *bytes, size_t size) {
  size_t done = 0;
  if (!may_write(size)) {
    errno = EFBIG;
    return -1;
  }
  while (done < size) {
    const ssize_t count = write(file, bytes + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count == 0) errno = ENOSPC;
    if (count <= 0) return -1;
    done += (size_t)count;
  }
  return 0;
}

/*
 * A name that no other writer has, on any machine and in any container. If the kernel gives no
 * random bytes, the time, the process and a counter make it unlikely that two writers choose the
 * same name, and O_EXCL makes sure. (glibc 2.17 has no getrandom().)
 */
static void make_temporary_name(char name[TEMPORARY_NAME_SIZE]) {
  static atomic_uint made;
  struct {
    unsigned char random[16];
    struct timespec now;
    pid_t process;
    unsigned number;
  } unique;
  memset(&unique, 0, sizeof unique);
#ifdef SYS_getrandom
  (void)syscall(SYS_getrandom, unique.random, sizeof unique.random, 1 /* GRND_NONBLOCK */);
#endif
  clock_gettime(CLOCK_REALTIME, &unique.now);
  unique.process = getpid();
  unique.number = atomic_fetch_add(&made, 1);
  const XXH128_hash_t hash = XXH3_128bits(&unique, sizeof unique);
  snprintf(name, TEMPORARY_NAME_SIZE, ".udm-%016llx%08x.tmp", (unsigned long long)hash.high64,
           (unsigned)hash.low64);
}

/* Creates a temporary file. Returns its descriptor, or -1 and errno. */
static int create_temporary(int folder, char name[TEMPORARY_NAME_SIZE]) {
  for (int attempt = 0; attempt < 8; ++attempt) {
    make_temporary_name(name);
    const int file =
        openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file >= 0 || errno != EEXIST) return file;
  }
  return -1;
}

/* A folder with the name makes the rename fail: it is removed or moved aside first. */
static int rename_over(int folder, const char *from, const char *to) {
  struct stat status;
  if (renameat(folder, from, folder, to) == 0) return 0;
  if (errno != EISDIR && errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) return -1;
  const int error = errno;
  if (fstatat(folder, to, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode) &&
      clear_folder(folder, to, &status) == 0) {
    return renameat(folder, from, folder, to);
  }
  errno = error;
  return -1;
}

/* Returns NULL, or the name of the call that failed and its errno. */
static const char *write_and_rename(int folder, int file, const char *temporary, const char *name,
                                    const void *bytes, size_t size) {
  if (write_all(file, bytes, size) != 0) return "write";
  if (fsync(file) != 0) return "fsync";
  return rename_over(folder, temporary, name) != 0 ? "rename" : NULL;
}

udm_status udm_cache_file_write(const struct cache_dir *dir, const char *name, const void *bytes,
                                size_t size, struct error *error) {
  char temporary[TEMPORARY_NAME_SIZE];
  const char *call = "creating a file";
  int number = 0;
  const int file = create_temporary(dir->fd, temporary);
  if (file < 0) {
    number = errno;
  } else {
    /* until the file is closed, this tells other processes that its writer is running */
    udm_cache_mark_in_use(file, true);
    call = write_and_rename(dir->fd, file, temporary, name, bytes, size);
    number = errno;
    if (call) unlinkat(dir->fd, temporary, 0);
    close(file);
  }
  if (call) {
    char text[UDM_ERRNO_TEXT_SIZE];
    return udm_fail(error, UDM_ERROR_CACHE,
                    "cache folder %s: %s: %s: free some space and give this user write access, or "
                    "name another folder in UDM_CACHE_DIR",
                    dir->path, call, udm_errno_text(number, text));
  }
  fsync(dir->fd); /* best effort: the entry is in place, and may now survive a power cut too */
  return UDM_OK;
}
