/*
 * cache_process.c: the program that the tests of the cache run many times at once.
 *
 *     cache_process [--together FILE COUNT] [--nvrtc FILE] [--cache-dir FOLDER]
 *                   create | prewarm
 *
 * create   over the driver of UDM_DRIVER_LIBRARY: udm_create(), and a launch
 *          whose outputs it compares with the reference
 * prewarm  udm_prewarm() for sm_90
 *
 * With --together it waits until COUNT processes have written to FILE. It prints
 * one line: the status, whether the process is set-uid, the cache counters, and
 * the last error if it failed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "case_runner.h"
#include "gpu_session.h"
#include "udm.h"

enum { ARCH = 90, USAGE = 2 };

/* Each process adds a byte to the file. All continue at `count` bytes, or after a minute. */
static void wait_for_the_others(const char *path, long count) {
  const struct timespec pause = {0, 500000};
  struct stat status;
  const int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0 || write(file, ".", 1) != 1) exit(USAGE);
  for (int i = 0; i < 120000 && fstat(file, &status) == 0 && status.st_size < count; ++i) {
    nanosleep(&pause, NULL);
  }
  close(file);
}

static udm_status launch(struct gpu_session *session) {
  char text[DECODE_CASE_TEXT_SIZE];
  bool matches = false;
  struct decode_case *c = NULL;
  struct decode_case_request request = DECODE_CASE_REQUEST_INIT;
  struct case_runner runner = CASE_RUNNER_INIT(&session->driver, session->udm, session->stream);
  request.batch_size = 3;
  if (decode_case_create(&request, &c) != UDM_OK) return UDM_ERROR_OUT_OF_MEMORY;
  const bool ran = case_runner_upload(&runner, c) && case_runner_launch(&runner, c) &&
                   case_runner_compare(&runner, c, &matches, text, sizeof text);
  case_runner_release(&runner);
  decode_case_destroy(c);
  return ran && matches ? UDM_OK : UDM_ERROR_DRIVER;
}

static udm_status create(const udm_options *options, char *error, size_t size) {
  struct gpu_session session;
  if (!gpu_session_open(&session, options, 0, error, size)) return UDM_ERROR_NO_IMAGE;
  const udm_status status = launch(&session);
  if (status != UDM_OK) snprintf(error, size, "the launch failed, or its outputs are wrong");
  gpu_session_close(&session);
  return status;
}

static udm_status prewarm(const udm_options *options, char *error, size_t size) {
  const udm_status status = udm_prewarm(options, ARCH, 0, NULL);
  if (status != UDM_OK) snprintf(error, size, "%s", udm_last_error());
  return status;
}

/* In one write(): a launcher mixes the output of its processes. */
static void print_line(udm_status status, const char *error) {
  udm_cache_counters counters = {.struct_size = sizeof counters};
  udm_get_cache_counters(&counters);
  printf("status=%d secure=%d", (int)status, getauxval(AT_SECURE) != 0);
#define PRINT(name, text) printf(" " #name "=%llu", (unsigned long long)counters.name);
  UDM_CACHE_COUNTER_TABLE(PRINT)
#undef PRINT
  printf("\n%s%s", error, *error ? "\n" : "");
  fflush(stdout);
}

int main(int argc, char **argv) {
  static char buffer[1 << 16];
  static char error[9216];
  udm_options options = UDM_OPTIONS_INIT;
  udm_status status = UDM_OK;
  int i = 1;
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  for (; i + 1 < argc; ++i) {
    if (strcmp(argv[i], "--together") == 0 && i + 2 < argc) {
      wait_for_the_others(argv[i + 1], strtol(argv[i + 2], NULL, 10));
      i += 2;
    } else if (strcmp(argv[i], "--nvrtc") == 0) {
      options.nvrtc_library = argv[++i];
    } else if (strcmp(argv[i], "--cache-dir") == 0) {
      options.cache_dir = argv[++i];
    } else {
      return USAGE;
    }
  }
  if (i >= argc) return USAGE;
  if (strcmp(argv[i], "create") == 0) {
    status = create(&options, error, sizeof error);
  } else if (strcmp(argv[i], "prewarm") == 0) {
    status = prewarm(&options, error, sizeof error);
  } else {
    return USAGE;
  }
  print_line(status, error);
  return status == UDM_OK ? 0 : 1;
}
