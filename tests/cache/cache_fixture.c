/*
 * cache_fixture.c: the environment and the checks of the tests of the cache.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cache_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/cache.h"
#include "core/allocator.h"
#include "cuda_driver.h"
#include "temporary_folder.h"

static const char *const variables[] = {
    "UDM_CACHE_PATH",         "UDM_CACHE_MAX_BYTES",   "UDM_CACHE_LOCK_SECONDS",
    "UDM_NO_COMPILE",         "UDM_FAKE_CUDA_DEVICES", "UDM_FAKE_CUDA_FAIL",
    "UDM_FAKE_NVRTC_VERSION", "UDM_FAKE_NVRTC_ARCHS",  "UDM_FAKE_NVRTC_DELAY_MS",
    "UDM_FAKE_NVRTC_FAIL",
};

int cache_fixture_open(void **state) {
  if (make_temporary_folder(state) != 0) return -1;
  for (size_t i = 0; i < sizeof variables / sizeof variables[0]; ++i) unsetenv(variables[i]);
  setenv("UDM_CACHE_DIR", path_in(*state, "cache"), 1);
  setenv("UDM_FAKE_NVRTC_LOG", path_in(*state, "compiles"), 1);
  return 0;
}

int cache_fixture_close(void **state) { return remove_temporary_folder(state); }

const char *set_variable(const char *name) {
  const char *value = getenv(name);
  if (!value) {
    printf("%s is not set\n", name);
    abort();
  }
  return value;
}

const char *cache_folder(void) { return set_variable("UDM_CACHE_DIR"); }

void use_fake_device(void) {
  struct cuda_driver driver;
  CUdevice device = 0;
  CUcontext context = NULL;
  if (cuda_driver_open(NULL, &driver) != UDM_OK || driver.cuDeviceGet(&device, 0) != 0 ||
      driver.cuDevicePrimaryCtxRetain(&context, device) != 0 ||
      driver.cuCtxSetCurrent(context) != 0) {
    printf("no context of the fake driver: %s\n", udm_last_error());
    exit(1);
  }
}

void forbid_ptx(void) { setenv("UDM_FAKE_CUDA_FAIL", "cuLinkAddData_v2:218", 1); }

void take_counters(udm_cache_counters *counters) {
  memset(counters, 0, sizeof *counters);
  counters->struct_size = sizeof *counters;
  if (udm_get_cache_counters(counters) != UDM_OK) abort();
}

void subtract_counters(udm_cache_counters *counters, const udm_cache_counters *before) {
#define SUBTRACT(name, text) counters->name -= before->name;
  UDM_CACHE_COUNTER_TABLE(SUBTRACT)
#undef SUBTRACT
}

static void keep_line(void *user_data, udm_log_level level, const char *message) {
  struct create_result *result = user_data;
  const size_t used = strlen(result->log);
  (void)level;
  snprintf(result->log + used, sizeof result->log - used, "%s\n", message);
}

void create_once(struct create_result *result) {
  static const udm_context_info empty = UDM_CONTEXT_INFO_INIT;
  udm_options options = UDM_OPTIONS_INIT;
  udm_cache_counters before;
  udm_context *ctx = NULL;
  result->info = empty;
  result->log[0] = '\0';
  options.log = keep_line;
  options.log_user_data = result;
  take_counters(&before);
  result->status = udm_create(&options, &ctx);
  take_counters(&result->counted);
  subtract_counters(&result->counted, &before);
  if (result->status == UDM_OK) result->status = udm_get_context_info(ctx, &result->info);
  udm_destroy(ctx);
}

void assert_created(const struct create_result *result, udm_image_source source) {
  if (result->status != UDM_OK) fail_msg("%s\nlog:\n%s", udm_last_error(), result->log);
  if (result->info.image_source != source) {
    fail_msg("the image came from %s, not from %s; log:\n%s",
             udm_image_source_name(result->info.image_source), udm_image_source_name(source),
             result->log);
  }
}

static int note_entry(void *user_data, const udm_cache_entry_info *entry) {
  struct cache_contents *contents = user_data;
  if (entry->layer != 0) return 0;
  contents->ok += entry->state == UDM_CACHE_ENTRY_OK;
  contents->stale += entry->state == UDM_CACHE_ENTRY_STALE;
  snprintf(contents->path, sizeof contents->path, "%s", entry->path);
  if (entry->state != UDM_CACHE_ENTRY_BAD) return 0;
  ++contents->bad;
  snprintf(contents->reason, sizeof contents->reason, "%s", entry->reason);
  return 0;
}

void look_at_cache(struct cache_contents *contents) {
  memset(contents, 0, sizeof *contents);
  if (udm_cache_enumerate(NULL, note_entry, contents) != UDM_OK) fail_msg("%s", udm_last_error());
}

void prewarm(char path[UDM_PATH_SIZE]) {
  udm_prewarm_result result = {.struct_size = sizeof result};
  if (udm_prewarm(NULL, FIXTURE_ARCH, 0, &result) != UDM_OK) fail_msg("%s", udm_last_error());
  if (path) memcpy(path, result.path, UDM_PATH_SIZE);
}

static bool ends_with(const char *text, const char *ending) {
  const size_t length = strlen(text);
  return length >= strlen(ending) && strcmp(text + length - strlen(ending), ending) == 0;
}

/* Visits each file of the cache folder with this ending. Returns how many there are. */
static int for_each_file(const char *ending, void (*visit)(const char *path, long number),
                         long number) {
  const char *folder = cache_folder();
  char path[2 * UDM_PATH_SIZE];
  int count = 0;
  DIR *listing = opendir(folder);
  if (!listing) return 0;
  for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
    if (!ends_with(entry->d_name, ending)) continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (visit) visit(path, number);
    ++count;
  }
  closedir(listing);
  return count;
}

void spoil_image(const char *path) {
  static unsigned char old[1 << 16];
  struct cache_entry_view view;
  char text[UDM_CACHE_TEXT_SIZE];
  char producer[UDM_CACHE_TEXT_SIZE];
  unsigned char *bytes = NULL;
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  size_t size = fread(old, 1, sizeof old, file);
  fclose(file);
  assert_int_equal(udm_cache_entry_decode(old, size, &view, udm_thread_error()), UDM_OK);
  unsigned char *name = memmem(old, view.image_size, "udm_decode_metadata_general", 27);
  assert_non_null(name);
  name[0] = 'x';
  snprintf(text, sizeof text, "%.*s", (int)view.text_size, view.text);
  snprintf(producer, sizeof producer, "%.*s", (int)view.producer_size, view.producer);
  const struct cache_key key = {"sm_90", text, producer};
  assert_int_equal(
      udm_cache_entry_encode(&key, old, view.image_size, &bytes, &size, udm_thread_error()),
      UDM_OK);
  write_file(path, bytes, size);
  udm_free(bytes);
}

int count_files(const char *ending) { return for_each_file(ending, NULL, 0); }

static void set_back(const char *path, long seconds) {
  const struct timespec then = {time(NULL) - seconds, 0};
  const struct timespec times[2] = {then, then};
  assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

void age_files(const char *ending, long seconds) { for_each_file(ending, set_back, seconds); }

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw) {
  (void)status;
  (void)type;
  (void)ftw;
  return remove(path);
}

void clear_cache(void) { nftw(cache_folder(), remove_one, 16, FTW_DEPTH | FTW_PHYS); }

int count_compiles(const char *folder) {
  int lines = 0;
  FILE *file = fopen(path_in(folder, "compiles"), "r");
  if (!file) return 0;
  for (int c = getc(file); c != EOF; c = getc(file)) lines += c == '\n';
  fclose(file);
  return lines;
}

int count_open_files(void) {
  int count = 0;
  DIR *listing = opendir("/proc/self/fd");
  if (!listing) return -1;
  while (readdir(listing)) ++count;
  closedir(listing);
  return count;
}

void child_check(bool condition, const char *text, const char *file, int line) {
  if (condition) return;
  printf("%s:%d: not so: %s (last error: %s)\n", file, line, text, udm_last_error());
  fflush(stdout);
  _exit(1);
}

_Noreturn void child_cannot(const char *reason) {
  printf("skipped: %s\n", reason);
  fflush(stdout);
  _exit(CHILD_CANNOT);
}

pid_t fork_child(void) {
  fflush(stdout);
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  return child;
}

void run_in_child(void (*work)(const char *folder), const char *folder) {
  int status = -1;
  const pid_t child = fork_child();
  if (child == 0) {
    work(folder);
    fflush(stdout);
    _exit(0);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_CANNOT) skip();
  assert_int_equal(status, 0);
}
