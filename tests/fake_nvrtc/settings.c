/*
 * settings.c: what the environment sets for the fake NVRTC: version, architectures, delay, faults,
 * log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_nvrtc.h"
#include "nvrtc_functions.h"

static const char default_archs[] = "75,80,86,87,88,89,90,100,103,110,120,121";

/* The first line of the file `name` in this library's own folder; false if there is none.
 */
static bool read_file_beside(const char *name, char *text, size_t size) {
  static const char here = 0;
  Dl_info info;
  char path[4096];
  if (!dladdr(&here, &info) || !info.dli_fname) return false;
  const char *slash = strrchr(info.dli_fname, '/');
  if (!slash) return false;
  const int folder = (int)(slash - info.dli_fname);
  snprintf(path, sizeof path, "%.*s/%s", folder, info.dli_fname, name);
  FILE *file = fopen(path, "r");
  if (!file) return false;
  const bool read = fgets(text, (int)size, file) != NULL;
  fclose(file);
  return read;
}

static void read_text(const char *variable, const char *file, const char *otherwise, char *text,
                      size_t size) {
  const char *value = getenv(variable);
  if (!value && read_file_beside(file, text, size)) return;
  snprintf(text, size, "%s", value ? value : otherwise);
}

void fake_nvrtc_settings_read(struct fake_nvrtc_settings *settings) {
  char text[512];
  memset(settings, 0, sizeof *settings);
  read_text("UDM_FAKE_NVRTC_VERSION", "version", "13.0", text, sizeof text);
  sscanf(text, "%d.%d", &settings->version_major, &settings->version_minor);
  read_text("UDM_FAKE_NVRTC_ARCHS", "archs", default_archs, text, sizeof text);
  for (const char *rest = text; *rest && settings->arch_count < FAKE_CUDA_MAX_ARCHS;) {
    char *end = NULL;
    const long arch = strtol(rest, &end, 10);
    if (end == rest) break;
    settings->archs[settings->arch_count++] = (int)arch;
    rest = *end == ',' ? end + 1 : end;
  }
  const char *delay = getenv("UDM_FAKE_NVRTC_DELAY_MS");
  settings->delay_ms = delay ? atoi(delay) : 0;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char *const names[] = {
#define NAME(result, name, parameters) #name,
    CUDA_NVRTC_FUNCTIONS(NAME)
#undef NAME
};

enum { NAMES = sizeof names / sizeof names[0] };

static long counts[NAMES];

/* Counts a call of the function; -1 if there is no such function. */
static long add_to_count(const char *function, long number) {
  long count = -1;
  pthread_mutex_lock(&lock);
  for (int n = 0; n < NAMES; ++n) {
    if (strcmp(names[n], function) == 0) count = counts[n] += number;
  }
  pthread_mutex_unlock(&lock);
  return count;
}

long fake_nvrtc_calls(const char *name) { return add_to_count(name, 0); }

void fake_nvrtc_reset_calls(void) {
  pthread_mutex_lock(&lock);
  memset(counts, 0, sizeof counts);
  pthread_mutex_unlock(&lock);
}

nvrtcResult fake_cuda_fault(const char *function) {
  const long call = add_to_count(function, 1);
  char text[512];
  read_text("UDM_FAKE_NVRTC_FAIL", "fail", "", text, sizeof text);
  const char *rest = text;
  const size_t length = strlen(function);
  while (rest && *rest) {
    if (strncmp(rest, function, length) == 0 && rest[length] == ':') {
      char *end = NULL;
      const long error = strtol(rest + length + 1, &end, 10);
      const long nth = *end == ':' ? strtol(end + 1, NULL, 10) : call;
      if (nth == call) return (nvrtcResult)error;
    }
    rest = strchr(rest, ',');
    if (rest) ++rest;
  }
  return NVRTC_SUCCESS;
}

/* One write(), so that lines of several processes do not mix. */
void fake_cuda_log_compile(const char *target) {
  char line[96];
  const char *path = getenv("UDM_FAKE_NVRTC_LOG");
  const char *disable = getenv("CUDA_CACHE_DISABLE"); /* the driver's cache of a real NVRTC */
  const bool disabled = disable && strcmp(disable, "1") == 0;
  if (!path || !*path) return;
  const int length = snprintf(line, sizeof line, "compile %.32s %ld%s\n", target, (long)getpid(),
                              disabled ? " CUDA_CACHE_DISABLE=1" : "");
  const int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return;
  if (write(file, line, (size_t)length) != length) {
    fprintf(stderr, "fake NVRTC: %s cannot be written\n", path);
  }
  close(file);
}
