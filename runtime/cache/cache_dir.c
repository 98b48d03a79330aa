/*
 * cache_dir.c: finds the folders of the layers, opens them, and decides which
 * are trusted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/cache.h"
#include "core/allocator.h"

static bool join(char path[UDM_PATH_SIZE], const char *root, const char *rest) {
  const int length = snprintf(path, UDM_PATH_SIZE, "%s%s", root, rest);
  if (length > 0 && length < UDM_PATH_SIZE) return true;
  snprintf(path, UDM_PATH_SIZE, "%s", UDM_PATH_TOO_LONG);
  return false;
}

static bool home_in_user_database(char path[UDM_PATH_SIZE]) {
  struct passwd entry;
  struct passwd *found = NULL;
  char strings[4096];
  if (getpwuid_r(geteuid(), &entry, strings, sizeof strings, &found) != 0 || !found) return false;
  return found->pw_dir && found->pw_dir[0] == '/' && join(path, found->pw_dir, "/.cache/udm");
}

static void writable_path(const struct settings *settings, char path[UDM_PATH_SIZE]) {
  const char *xdg = udm_environment("XDG_CACHE_HOME");
  const char *home = udm_environment("HOME");
  path[0] = '\0';
  if (settings->cache_dir) {
    join(path, settings->cache_dir, "");
  } else if (xdg && xdg[0] == '/') { /* XDG: ignore a relative path */
    join(path, xdg, "/udm");
  } else if (home && home[0] == '/') {
    join(path, home, "/.cache/udm");
  } else {
    home_in_user_database(path);
  }
}

/* A slash at the end would make the system follow a symbolic link. */
static void strip_slashes(char *path) {
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/') path[--length] = '\0';
}

/* The length of a name in a list of folders, without slashes at its end. */
static size_t name_length(const char *path) {
  size_t length = strcspn(path, ":");
  while (length > 1 && path[length - 1] == '/') --length;
  return length;
}

/* True if the list of folders names this one before. */
static bool is_named_before(const char *paths, const char *path) {
  const size_t length = name_length(path);
  for (const char *rest = paths; rest < path; rest += strcspn(rest, ":") + 1) {
    if (name_length(rest) == length && strncmp(rest, path, length) == 0) return true;
  }
  return false;
}

/*
 * Finds the path of read-only layer `index`, from 1, in UDM_CACHE_PATH. "a::b:a" has two. NULL if
 * there are fewer: index is then that of the layer after them, from 1.
 */
static const char *read_only_path(const char *paths, int *index, size_t *length) {
  for (const char *rest = paths ? paths : ""; *rest; rest += *length + (rest[*length] == ':')) {
    *length = strcspn(rest, ":");
    const bool counts = *length > 0 && !is_named_before(paths, rest);
    if (counts && --*index == 0) return rest;
  }
  return NULL;
}

bool udm_cache_dir_at(const struct settings *settings, int index, struct cache_dir *dir) {
  const char *listed = NULL;
  size_t length = 0;
  dir->writable = index == 0;
  dir->fd = -1;
  dir->path = NULL;
  dir->system = false;
  if (!dir->writable) {
    listed = read_only_path(settings->cache_path, &index, &length);
    dir->system = !listed && index == 1 && settings->system_layer;
    if (!listed && !dir->system) return false;
  }
  dir->path = udm_malloc(UDM_PATH_SIZE);
  if (!dir->path) return true; /* udm_cache_dir_open() reports it */
  if (dir->system) {
    if (udm_cache_system_layer(dir->path, &dir->library)) return true;
    udm_cache_dir_close(dir);
    return false;
  }
  if (dir->writable) {
    writable_path(settings, dir->path);
  } else if (length < UDM_PATH_SIZE) {
    memcpy(dir->path, listed, length);
    dir->path[length] = '\0';
  } else {
    snprintf(dir->path, UDM_PATH_SIZE, "%s", UDM_PATH_TOO_LONG);
  }
  strip_slashes(dir->path);
  return true;
}

const char *udm_cache_dir_name(const struct cache_dir *dir) {
  return dir->path && dir->path[0] ? dir->path : "(none)";
}

void udm_cache_dir_file_path(const struct cache_dir *dir, const char *name,
                             char path[UDM_PATH_SIZE]) {
  snprintf(path, UDM_PATH_SIZE, "%s/%s", dir->path, name);
}

/* mkdir -p with mode 0700. Returns 0 or the first errno: the folder may be there all the same. */
static int make_folders(char *path) {
  int error = 0;
  for (size_t i = 1;; ++i) {
    const char end = path[i];
    if (end != '/' && end != '\0') continue;
    path[i] = '\0';
    if (mkdir(path, 0700) != 0 && errno != EEXIST && error == 0) error = errno;
    path[i] = end;
    if (end == '\0') return error;
  }
}

/* Says why open() failed, with `number`, or making the folder before, with `make_number`. */
static udm_status fail_open(const struct cache_dir *dir, int number, int make_number,
                            struct error *error) {
  struct stat status;
  /* O_NOFOLLOW with O_DIRECTORY gives ENOTDIR for a symbolic link */
  if ((number == ENOTDIR || number == ELOOP) && lstat(dir->path, &status) == 0 &&
      S_ISLNK(status.st_mode)) {
    return udm_fail(error, UDM_ERROR_CACHE, "it is a symbolic link, which is not followed");
  }
  if (number == ENOENT && make_number) {
    return udm_fail_errno(error, UDM_ERROR_NOT_FOUND, make_number, "it cannot be made");
  }
  if (number == ENOENT) return udm_fail(error, UDM_ERROR_NOT_FOUND, "there is no such folder");
  char text[UDM_ERRNO_TEXT_SIZE];
  const char *cure = "";
  if (number == EACCES) {
    cure = dir->writable ? ": give it to this user, or name another folder in UDM_CACHE_DIR"
                         : ": let this user read it (chmod -R a+rX)";
  }
  return udm_fail(error, UDM_ERROR_CACHE, "%s%s", udm_errno_text(number, text), cure);
}

/* Who may write the folder or file may write the library as well. */
static bool is_as_the_library(const struct cache_dir *dir, const struct stat *status) {
  const mode_t others = S_IWGRP | S_IWOTH;
  return dir->system && status->st_uid == dir->library.st_uid &&
         status->st_gid == dir->library.st_gid &&
         (status->st_mode & ~dir->library.st_mode & others) == 0;
}

udm_status udm_cache_dir_check_owner(const struct cache_dir *dir, const struct stat *status,
                                     struct error *error) {
  const bool root_may_own = !dir->writable;
  if (is_as_the_library(dir, status)) return UDM_OK;
  if (status->st_uid != geteuid() && !(root_may_own && status->st_uid == 0)) {
    return udm_fail(error, UDM_ERROR_CACHE, "it belongs to another user");
  }
  if (status->st_mode & (S_IWGRP | S_IWOTH)) {
    return udm_fail(error, UDM_ERROR_CACHE, "others may write to it (mode %04o): chmod go-w it",
                    (unsigned)status->st_mode & 07777);
  }
  return UDM_OK;
}

static udm_status check_folder(const struct cache_dir *dir, struct error *error) {
  struct stat status;
  char text[UDM_ERRNO_TEXT_SIZE];
  struct error reason = {text, sizeof text};
  if (fstat(dir->fd, &status) != 0) {
    return udm_fail_errno(error, UDM_ERROR_CACHE, errno, "not trusted");
  }
  if (udm_cache_dir_check_owner(dir, &status, &reason) == UDM_OK) return UDM_OK;
  return udm_fail(error, UDM_ERROR_CACHE, "not trusted: %s", text);
}

udm_status udm_cache_dir_open(struct cache_dir *dir, bool create, struct error *error) {
  if (getauxval(AT_SECURE)) {
    return udm_fail(error, UDM_ERROR_CACHE, "a set-uid process uses no cache");
  }
  if (!dir->path) return udm_fail_memory(error, "the path of a cache folder", UDM_PATH_SIZE);
  if (!dir->path[0]) {
    return udm_fail(error, UDM_ERROR_CACHE, "no folder is known: set UDM_CACHE_DIR or HOME");
  }
  if (strcmp(dir->path, UDM_PATH_TOO_LONG) == 0) {
    return udm_fail(error, UDM_ERROR_CACHE, "shorten it");
  }
  const int make_number = create && dir->writable ? make_folders(dir->path) : 0;
  dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (dir->fd < 0) return fail_open(dir, errno, make_number, error);
  const udm_status status = check_folder(dir, error);
  if (status != UDM_OK) {
    close(dir->fd);
    dir->fd = -1;
  }
  return status;
}

void udm_cache_dir_close(struct cache_dir *dir) {
  if (dir->fd >= 0) close(dir->fd);
  udm_free(dir->path);
  dir->fd = -1;
  dir->path = NULL;
}
