/*
 * cache_folder.c: finds the folders of the cache and decides which are trusted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache/cache_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

static bool join(char path[UDM_PATH_SIZE], const char *root, const char *rest) {
  const int length = snprintf(path, UDM_PATH_SIZE, "%s%s", root, rest);
  if (length > 0 && length < UDM_PATH_SIZE) return true;
  snprintf(path, UDM_PATH_SIZE, "%s", UDM_PATH_TOO_LONG);
  return false;
}

static bool home_of_user_database(char path[UDM_PATH_SIZE]) {
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
  } else if (xdg && xdg[0] == '/') { /* the XDG rules: a relative one is ignored */
    join(path, xdg, "/udm");
  } else if (home && home[0] == '/') {
    join(path, home, "/.cache/udm");
  } else {
    home_of_user_database(path);
  }
}

/* A slash at the end would make the system follow a symbolic link. */
static void strip_slashes(char *path) {
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/') path[--length] = '\0';
}

bool udm_cache_layer_at(const struct settings *settings, int index, struct cache_layer *layer) {
  layer->writable = index == 0;
  if (index == 0) {
    writable_path(settings, layer->path);
    strip_slashes(layer->path);
    return true;
  }
  const char *rest = settings->cache_path;
  for (int i = 1; rest && *rest; ++i) {
    const size_t length = strcspn(rest, ":");
    const char *next = rest + length + (rest[length] == ':');
    if (length == 0) {
      --i; /* "a::b" names two layers */
    } else if (i == index) {
      snprintf(layer->path, sizeof layer->path, "%s", UDM_PATH_TOO_LONG);
      if (length < sizeof layer->path) {
        memcpy(layer->path, rest, length);
        layer->path[length] = '\0';
      }
      strip_slashes(layer->path);
      return true;
    }
    rest = next;
  }
  return false;
}

/* mkdir -p with mode 0700. Returns 0, or the first errno, which tells only if none is there then.
 */
static int make_folders(const char *path) {
  char partial[UDM_PATH_SIZE];
  int error = 0;
  for (size_t i = 1;; ++i) {
    if (path[i] != '/' && path[i] != '\0') continue;
    memcpy(partial, path, i);
    partial[i] = '\0';
    if (mkdir(partial, 0700) != 0 && errno != EEXIST && error == 0) error = errno;
    if (path[i] == '\0') return error;
  }
}

/* Why the folder could not be opened: `error`; or made, where that was tried: `make_error`. */
static void explain_open(const char *path, int error, int make_error,
                         char reason[UDM_REASON_SIZE]) {
  struct stat status;
  char text[UDM_ERRNO_TEXT_SIZE];
  /* O_NOFOLLOW with O_DIRECTORY says ENOTDIR of a symbolic link */
  if ((error == ENOTDIR || error == ELOOP) && lstat(path, &status) == 0 &&
      S_ISLNK(status.st_mode)) {
    snprintf(reason, UDM_REASON_SIZE, "it is a symbolic link, which is not followed");
  } else if (error == ENOENT && make_error) {
    snprintf(reason, UDM_REASON_SIZE, "it cannot be made: %s", udm_errno_text(make_error, text));
  } else if (error == ENOENT) {
    snprintf(reason, UDM_REASON_SIZE, "there is no such folder");
  } else {
    snprintf(reason, UDM_REASON_SIZE, "%s", udm_errno_text(error, text));
  }
}

const char *udm_cache_distrust(const struct cache_layer *layer, const struct stat *status) {
  const bool root_may_own = !layer->writable;
  if (status->st_uid != geteuid() && !(root_may_own && status->st_uid == 0)) {
    return "it belongs to another user";
  }
  if (status->st_mode & (S_IWGRP | S_IWOTH)) {
    return "others may write to it: chmod go-w it";
  }
  return NULL;
}

int udm_cache_folder_open(const struct cache_layer *layer, bool create,
                          char reason[UDM_REASON_SIZE], bool *missing) {
  int folder = -1;
  struct stat status;
  char text[UDM_ERRNO_TEXT_SIZE];
  *missing = false;
  reason[0] = '\0';
  if (getauxval(AT_SECURE)) {
    snprintf(reason, UDM_REASON_SIZE, "a set-uid process uses no cache");
    return -1;
  }
  if (!layer->path[0]) {
    snprintf(reason, UDM_REASON_SIZE, "no folder is known: set UDM_CACHE_DIR or HOME");
    return -1;
  }
  if (strcmp(layer->path, UDM_PATH_TOO_LONG) == 0) {
    snprintf(reason, UDM_REASON_SIZE, "shorten it");
    return -1;
  }
  const int make_error = create && layer->writable ? make_folders(layer->path) : 0;
  folder = open(layer->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) {
    const int error = errno;
    *missing = error == ENOENT;
    explain_open(layer->path, error, make_error, reason);
    return -1;
  }
  const char *objection = fstat(folder, &status) != 0 ? udm_errno_text(errno, text)
                                                      : udm_cache_distrust(layer, &status);
  if (objection) {
    snprintf(reason, UDM_REASON_SIZE, "not trusted: %s", objection);
    close(folder);
    return -1;
  }
  return folder;
}
