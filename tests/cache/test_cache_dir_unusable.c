/*
 * test_cache_dir_unusable.c: cache folders that are full, read-only, unwritable,
 * unknown or another user's, and set-uid processes. udm_create() works all the same,
 * and the log says why the cache is not used.
 *
 * Tests that need root, a mount or another user run in a child process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cache_fixture.h"
#include "processes.h"
#include "temporary_folder.h"

/* Two users who are neither root nor in the user database. */
enum { USER = 54321, ANOTHER_USER = 54322, LINE_SIZE = 16384 };

static struct create_result result;

static void need_root(void) {
  if (geteuid() != 0) child_cannot("only root can mount, or become another user");
}

/* Gives this process a mount namespace of its own. */
static void need_own_mounts(void) {
  need_root();
  if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
    child_cannot("no mount namespace of its own is allowed here");
  }
}

static void mount_small_tmpfs(const char *options) {
  CHILD_CHECK(mkdir(cache_folder(), 0700) == 0);
  if (mount("tmpfs", cache_folder(), "tmpfs", 0, options) != 0) {
    child_cannot("no tmpfs can be mounted here");
  }
}

static void check_served_without_cache(const char *in_log) {
  create_once(&result);
  CHILD_CHECK(result.status == UDM_OK);
  CHILD_CHECK(result.info.image_source == UDM_IMAGE_NVRTC);
  CHILD_CHECK(result.counted.publishes == 0);
  CHILD_CHECK(result.counted.publish_failures == 1);
  if (!strstr(result.log, in_log)) printf("not in the log: %s\n%s", in_log, result.log);
  CHILD_CHECK(strstr(result.log, in_log));
}

static void check_warm(udm_image_source source) {
  create_once(&result);
  CHILD_CHECK(result.status == UDM_OK);
  CHILD_CHECK(result.info.image_source == source);
  CHILD_CHECK(result.counted.compiles == 0);
}

static void fill(const char *path) {
  static const char block[4096];
  const int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  CHILD_CHECK(file >= 0);
  while (write(file, block, sizeof block) > 0) {
  }
  CHILD_CHECK(errno == ENOSPC);
  close(file);
}

static void create_on_full_file_system(const char *folder) {
  (void)folder;
  need_own_mounts();
  mount_small_tmpfs("size=64k,mode=0700");
  const char *filler = path_in(cache_folder(), "filler");
  fill(filler);
  check_served_without_cache("No space left on device");
  check_served_without_cache("No space left on device");
  CHILD_CHECK(count_files(".tmp") == 0);
  CHILD_CHECK(count_files(".cubin") == 0);
  CHILD_CHECK(unlink(path_in(cache_folder(), "filler")) == 0);
  create_once(&result);
  CHILD_CHECK(result.counted.publishes == 1);
  fill(path_in(cache_folder(), "filler"));
  check_warm(UDM_IMAGE_CACHE); /* a full file system can still be read */
}

static void test_a_full_file_system(void **state) {
  run_in_child(create_on_full_file_system, *state);
}

static void create_without_inodes(const char *folder) {
  (void)folder;
  need_own_mounts();
  mount_small_tmpfs("size=64k,nr_inodes=2,mode=0700");
  create_once(&result); /* the lock file may take the last inode */
  check_served_without_cache("No space left on device");
  CHILD_CHECK(count_files(".tmp") == 0);
}

static void test_a_file_system_without_inodes(void **state) {
  run_in_child(create_without_inodes, *state);
}

static void remount_read_only(void) {
  if (mount(cache_folder(), cache_folder(), NULL, MS_BIND, NULL) != 0 ||
      mount(NULL, cache_folder(), NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0) {
    child_cannot("no read-only mount is allowed here");
  }
}

static void create_on_read_only_mount(const char *folder) {
  char path[UDM_PATH_SIZE];
  (void)folder;
  need_own_mounts();
  prewarm(path);
  age_files(".cubin", 3600);
  remount_read_only();
  check_warm(UDM_IMAGE_CACHE);
  CHILD_CHECK(umount2(cache_folder(), MNT_DETACH) == 0);
  write_file(path, "damaged", 7);
  remount_read_only();
  check_served_without_cache("Read-only file system");
  CHILD_CHECK(result.counted.repairs == 0);
  CHILD_CHECK(result.counted.lock_failures == 0 || strstr(result.log, "no lock in"));
  CHILD_CHECK(access(path, F_OK) == 0);
}

static void test_a_read_only_mount(void **state) {
  run_in_child(create_on_read_only_mount, *state);
}

/* Becomes a user without rights. The libraries must be in memory by then. */
static void become(const char *folder, uid_t user) {
  need_root();
  create_once(&result);
  CHILD_CHECK(result.status == UDM_OK);
  clear_cache();
  unsetenv("UDM_FAKE_NVRTC_LOG");
  CHILD_CHECK(chmod(folder, 0755) == 0);
  CHILD_CHECK(setgroups(0, NULL) == 0);
  CHILD_CHECK(setresgid(user, user, user) == 0 && setresuid(user, user, user) == 0);
  if (access(set_variable("UDM_NVRTC_LIBRARY"), R_OK) != 0 ||
      access(set_variable("UDM_DRIVER_LIBRARY"), R_OK) != 0) {
    child_cannot("another user cannot read the build folder");
  }
}

static void make_folder_of(const char *path, uid_t user, mode_t mode) {
  mkdir(path, 0700);
  if (chown(path, user, user) != 0) child_cannot("only root can give a folder away");
  CHILD_CHECK(chmod(path, mode) == 0);
}

/* As a user who may read the cache but not write to it. */
static void create_in_unwritable_folder(const char *folder) {
  char cache[4352];
  snprintf(cache, sizeof cache, "%s", path_in(folder, "theirs"));
  make_folder_of(cache, USER, 0700);
  become(folder, USER);
  setenv("UDM_CACHE_DIR", cache, 1);
  CHILD_CHECK(chmod(cache, 0500) == 0);
  check_served_without_cache("Permission denied");
  CHILD_CHECK(chmod(cache, 0700) == 0);
  create_once(&result);
  CHILD_CHECK(result.counted.publishes == 1);
  CHILD_CHECK(chmod(cache, 0500) == 0);
  check_warm(UDM_IMAGE_CACHE);
  CHILD_CHECK(chmod(cache, 0300) == 0);
  check_served_without_cache("Permission denied: give it to this user");
}

/* An installer forgot the chmod: the log says which. */
static void create_with_unreadable_layer(const char *folder) {
  char layer[4352];
  char path[UDM_PATH_SIZE];
  snprintf(layer, sizeof layer, "%s", path_in(folder, "layer"));
  make_folder_of(layer, USER, 0700);
  become(folder, USER);
  setenv("UDM_CACHE_DIR", layer, 1);
  prewarm(path);
  setenv("UDM_CACHE_PATH", layer, 1);
  setenv("UDM_CACHE_DIR", "/proc/udm", 1);
  CHILD_CHECK(chmod(path, 0) == 0);
  create_once(&result);
  CHILD_CHECK(strstr(result.log, "Permission denied: let this user read it (chmod a+r)"));
  CHILD_CHECK(chmod(layer, 0) == 0);
  create_once(&result);
  CHILD_CHECK(strstr(result.log, "Permission denied: let this user read it (chmod -R a+rX)"));
  CHILD_CHECK(result.status == UDM_OK && result.info.image_source == UDM_IMAGE_NVRTC);
}

static void test_an_unreadable_layer(void **state) {
  run_in_child(create_with_unreadable_layer, *state);
}

static void test_an_unwritable_folder(void **state) {
  run_in_child(create_in_unwritable_folder, *state);
}

static void create_without_home(const char *folder) {
  become(folder, USER);
  unsetenv("UDM_CACHE_DIR");
  unsetenv("XDG_CACHE_HOME");
  setenv("HOME", "/nonexistent", 1);
  check_served_without_cache("/nonexistent/.cache/udm");
  setenv("HOME", folder, 1); /* root owns it */
  check_served_without_cache("there is no such folder");
  setenv("HOME", "relative", 1); /* and no entry in the user database */
  check_served_without_cache("no folder is known: set UDM_CACHE_DIR or HOME");
  unsetenv("HOME");
  check_served_without_cache("no folder is known: set UDM_CACHE_DIR or HOME");
  setenv("HOME", "/dev/null", 1);
  check_served_without_cache("Not a directory");
}

static void test_no_home(void **state) { run_in_child(create_without_home, *state); }

static void create_in_folder_of_another(const char *folder) {
  char theirs[4352];
  char open_to_all[4352];
  snprintf(theirs, sizeof theirs, "%s", path_in(folder, "theirs"));
  snprintf(open_to_all, sizeof open_to_all, "%s", path_in(folder, "open"));
  make_folder_of(theirs, ANOTHER_USER, 0755);
  make_folder_of(open_to_all, USER, 01777);
  become(folder, USER);
  setenv("UDM_CACHE_DIR", theirs, 1);
  check_served_without_cache("not trusted: it belongs to another user");
  setenv("UDM_CACHE_DIR", folder, 1); /* root owns it: no writable layer */
  check_served_without_cache("not trusted: it belongs to another user");
  setenv("UDM_CACHE_DIR", open_to_all, 1);
  check_served_without_cache("not trusted: others may write to it (mode 1777): chmod go-w it");
  setenv("UDM_CACHE_DIR", "/tmp", 1);
  check_served_without_cache("not trusted");
}

static void test_a_folder_of_another_user(void **state) {
  run_in_child(create_in_folder_of_another, *state);
}

/* Read-only layers of root, of this user and of another user, all with the same good entry. */
static void create_with_layers(const char *folder) {
  static const struct {
    uid_t owner;
    mode_t mode;
    bool trusted;
  } layers[] = {
      {0, 0755, true},  {USER, 0755, true},          {ANOTHER_USER, 0755, false},
      {0, 0777, false}, {ANOTHER_USER, 0777, false}, {USER, 0775, false},
  };
  enum { LAYERS = sizeof layers / sizeof layers[0] };
  char paths[LAYERS][4352];
  char entry[UDM_PATH_SIZE];
  need_root();
  for (int i = 0; i < LAYERS; ++i) {
    snprintf(paths[i], sizeof paths[i], "%s/layer%d", folder, i);
    setenv("UDM_CACHE_DIR", paths[i], 1);
    prewarm(entry);
    CHILD_CHECK(chmod(entry, 0644) == 0);
    CHILD_CHECK(chown(entry, layers[i].owner, layers[i].owner) == 0);
    make_folder_of(paths[i], layers[i].owner, layers[i].mode);
  }
  setenv("UDM_CACHE_DIR", path_in(folder, "cache"), 1);
  become(folder, USER);
  for (int i = 0; i < LAYERS; ++i) {
    setenv("UDM_CACHE_PATH", paths[i], 1);
    if (layers[i].trusted) {
      check_warm(UDM_IMAGE_READ_ONLY_LAYER);
      CHILD_CHECK(result.counted.hits_read_only == 1);
    } else {
      check_served_without_cache("not trusted");
    }
  }
}

static void test_layers_of_several_users(void **state) { run_in_child(create_with_layers, *state); }

/* A file of another user in a folder of root, which is trusted. */
static void create_with_a_foreign_file(const char *folder) {
  char layer[4352];
  char entry[UDM_PATH_SIZE];
  snprintf(layer, sizeof layer, "%s", path_in(folder, "layer"));
  need_root();
  setenv("UDM_CACHE_DIR", layer, 1);
  prewarm(entry);
  CHILD_CHECK(chmod(entry, 0644) == 0 && chmod(layer, 0755) == 0);
  CHILD_CHECK(chown(entry, ANOTHER_USER, ANOTHER_USER) == 0);
  setenv("UDM_CACHE_DIR", path_in(folder, "cache"), 1);
  setenv("UDM_CACHE_PATH", layer, 1);
  become(folder, USER);
  check_served_without_cache("it belongs to another user");
}

static void test_a_foreign_file_in_a_trusted_layer(void **state) {
  run_in_child(create_with_a_foreign_file, *state);
}

static void copy_file(const char *from, const char *to, mode_t mode) {
  static char bytes[1 << 16];
  const int in = open(from, O_RDONLY | O_CLOEXEC);
  const int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
  CHILD_CHECK(in >= 0 && out >= 0);
  for (ssize_t count = read(in, bytes, sizeof bytes); count > 0;
       count = read(in, bytes, sizeof bytes)) {
    CHILD_CHECK(write(out, bytes, (size_t)count) == count);
  }
  CHILD_CHECK(fchown(out, USER, USER) == 0 && fchmod(out, mode) == 0);
  close(in);
  close(out);
}

/* A set-uid process uses no cache folder, whatever the options say. */
static void run_set_uid(const char *folder) {
  char program[4352];
  char nvrtc[4352];
  char cache[4352];
  char line[LINE_SIZE];
  struct statvfs system;
  struct process process;
  need_root();
  snprintf(program, sizeof program, "%s/program", folder);
  snprintf(nvrtc, sizeof nvrtc, "%s/nvrtc.so", folder);
  snprintf(cache, sizeof cache, "%s/theirs", folder);
  if (statvfs(folder, &system) != 0 || system.f_flag & ST_NOSUID) {
    child_cannot("the temporary folder's file system has no set-uid programs");
  }
  CHILD_CHECK(chmod(folder, 0755) == 0);
  make_folder_of(cache, USER, 0700);
  copy_file(set_variable("CACHE_PROCESS"), program, 04755);
  copy_file(set_variable("UDM_NVRTC_LIBRARY"), nvrtc, 0755);
  setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* the leak check cannot trace a set-uid process */
  const char *const arguments[] = {program, "--nvrtc", nvrtc, "--cache-dir",
                                   cache,   "prewarm", NULL};
  process_start(&process, arguments);
  const int status = process_finish(&process, line, sizeof line);
  if (number_in_line(line, "secure") != 1) child_cannot("set-uid programs are not allowed here");
  CHILD_CHECK(status != 0);
  CHILD_CHECK(number_in_line(line, "status") == UDM_ERROR_CACHE);
  CHILD_CHECK(number_in_line(line, "compiles") == 1);
  CHILD_CHECK(strstr(line, "a set-uid process uses no cache"));
  setenv("UDM_CACHE_DIR", cache, 1);
  CHILD_CHECK(count_files("") == 2); /* "." and ".." */
}

static void test_set_uid(void **state) { run_in_child(run_set_uid, *state); }

int main(void) {
  const struct CMUnitTest tests[] = {
      CACHE_TEST(test_a_full_file_system),
      CACHE_TEST(test_a_file_system_without_inodes),
      CACHE_TEST(test_a_read_only_mount),
      CACHE_TEST(test_an_unwritable_folder),
      CACHE_TEST(test_an_unreadable_layer),
      CACHE_TEST(test_no_home),
      CACHE_TEST(test_a_folder_of_another_user),
      CACHE_TEST(test_layers_of_several_users),
      CACHE_TEST(test_a_foreign_file_in_a_trusted_layer),
      CACHE_TEST(test_set_uid),
  };
  use_fake_device();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
