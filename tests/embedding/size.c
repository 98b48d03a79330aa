/*
 * size.c: the memory that each step of a first use adds to the process: size LIBRARY.
 * tests/embedding/size.sh runs it; docs/EMBEDDING.md has the figures.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "udm.h"

static void *library;

static void find(const char *name, void *function) {
  void *address = dlsym(library, name);
  if (!address) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  memcpy(function, &address, sizeof address);
}

/* KiB that are resident, and KiB that the process alone has written (private dirty). */
static void show(const char *step) {
  static long before[2];
  long now[2] = {0, 0};
  char line[8192];
  FILE *maps = fopen("/proc/self/smaps", "re");
  if (!maps) exit(1);
  while (fgets(line, sizeof line, maps)) {
    if (strncmp(line, "Rss:", 4) == 0) now[0] += strtol(line + 4, NULL, 10);
    if (strncmp(line, "Private_Dirty:", 14) == 0) now[1] += strtol(line + 14, NULL, 10);
  }
  fclose(maps);
  printf("%-36s %+7ld KiB resident, %+6ld of them its own\n", step, now[0] - before[0],
         now[1] - before[1]);
  memcpy(before, now, sizeof now);
}

int main(int argc, char **argv) {
  udm_status (*driver_symbol)(const udm_options *, const char *, void **) = NULL;
  udm_status (*create)(const udm_options *, udm_context **) = NULL;
  const char *(*last_error)(void) = NULL;
  int (*init)(unsigned) = NULL;
  int (*create_cuda)(CUcontext *, unsigned, int) = NULL;
  CUcontext cuda_context = NULL;
  udm_context *contexts[2] = {NULL, NULL};
  if (argc != 2) return 2;
  show("the process");
  library = dlopen(argv[1], RTLD_NOW);
  show("dlopen of libudm");
  find("udm_driver_symbol", &driver_symbol);
  find("udm_create", &create);
  find("udm_last_error", &last_error);
  if (driver_symbol(NULL, "cuInit", (void **)&init) != UDM_OK ||
      driver_symbol(NULL, "cuCtxCreate_v2", (void **)&create_cuda) != UDM_OK || init(0) != 0 ||
      create_cuda(&cuda_context, 0, 0) != 0) {
    fprintf(stderr, "no CUDA context: %s\n", last_error());
    return 1;
  }
  show("the driver and a CUDA context");
  for (int i = 0; i < 2; ++i) {
    if (create(NULL, &contexts[i]) != UDM_OK) {
      fprintf(stderr, "%s\n", last_error());
      return 1;
    }
    show(i == 0 ? "udm_create" : "udm_create, another one");
  }
  return 0;
}
