/*
 * measure_warm_create.c: the cost of a warm udm_create(), beside reading the same cache entry and
 * giving it to the driver. Not a test: it prints medians for a reader to judge.
 *
 *     measure_warm_create [REPETITIONS]
 *
 * The ways take turns within one run, in another order at each repetition.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cuda/cuda_driver.h"
#include "gpu_session.h"
#include "numbers/clock.h"

enum { DEFAULT_REPETITIONS = 201, FEWEST = 30, WARM_UP = 5, KERNELS = 2 };

static const char *const kernels[KERNELS] = {"udm_decode_metadata_direct",
                                             "udm_decode_metadata_general"};

/* NULL if the driver lacks a function: libraries came with CUDA 12. */
static struct {
  cuModuleLoadDataEx_function *cuModuleLoadDataEx;
  cuModuleGetFunction_function *cuModuleGetFunction;
  cuModuleUnload_function *cuModuleUnload;
  cuLibraryLoadData_function *cuLibraryLoadData;
  cuLibraryGetKernel_function *cuLibraryGetKernel;
  cuKernelGetFunction_function *cuKernelGetFunction;
  cuLibraryUnload_function *cuLibraryUnload;
  cuFuncLoad_function *cuFuncLoad;
} driver;

static void resolve_driver(void) {
  void *symbol = NULL;
#define RESOLVE(name)                                                            \
  if (udm_driver_symbol(NULL, #name, &symbol) == UDM_OK) {                       \
    memcpy(&driver.name, &symbol, sizeof symbol); /* ISO C has no cast for it */ \
  }
  RESOLVE(cuModuleLoadDataEx)
  RESOLVE(cuModuleGetFunction)
  RESOLVE(cuModuleUnload)
  RESOLVE(cuLibraryLoadData)
  RESOLVE(cuLibraryGetKernel)
  RESOLVE(cuKernelGetFunction)
  RESOLVE(cuLibraryUnload)
  RESOLVE(cuFuncLoad)
#undef RESOLVE
}

static bool has_libraries(void) {
  return driver.cuLibraryLoadData && driver.cuLibraryGetKernel && driver.cuKernelGetFunction &&
         driver.cuLibraryUnload;
}

static void fail(const char *what) {
  fprintf(stderr, "measure_warm_create: %s: %s\n", what, udm_last_error());
  exit(1);
}

static void check(CUresult result, const char *call) {
  if (result == CUDA_SUCCESS) return;
  fprintf(stderr, "measure_warm_create: %s: CUDA error %d\n", call, (int)result);
  exit(1);
}

static void *read_entry(const char *path) {
  struct stat status;
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || fstat(file, &status) != 0) fail(path);
  void *bytes = malloc((size_t)status.st_size);
  if (!bytes || read(file, bytes, (size_t)status.st_size) != status.st_size) fail(path);
  close(file);
  return bytes;
}

/* One way to load the kernels: the times to load and to unload them. */
struct sample {
  double made;
  double unmade;
};

static struct sample by_module(const char *path) {
  CUmodule module = NULL;
  CUfunction function = NULL;
  const double start = clock_microseconds();
  void *bytes = read_entry(path);
  check(driver.cuModuleLoadDataEx(&module, bytes, 0, NULL, NULL), "cuModuleLoadDataEx");
  for (int k = 0; k < KERNELS; ++k) {
    check(driver.cuModuleGetFunction(&function, module, kernels[k]), "cuModuleGetFunction");
  }
  free(bytes);
  const double made = clock_microseconds();
  check(driver.cuModuleUnload(module), "cuModuleUnload");
  return (struct sample){made - start, clock_microseconds() - made};
}

/* complete: includes the functions' code, which a lazy driver loads at the first launch. */
static struct sample load_library(const char *path, bool complete) {
  CUlibrary library = NULL;
  CUkernel kernel = NULL;
  CUfunction function = NULL;
  const double start = clock_microseconds();
  void *bytes = read_entry(path);
  check(driver.cuLibraryLoadData(&library, bytes, NULL, NULL, 0, NULL, NULL, 0),
        "cuLibraryLoadData");
  for (int k = 0; k < KERNELS; ++k) {
    check(driver.cuLibraryGetKernel(&kernel, library, kernels[k]), "cuLibraryGetKernel");
    check(driver.cuKernelGetFunction(&function, kernel), "cuKernelGetFunction");
    if (complete && driver.cuFuncLoad) check(driver.cuFuncLoad(function), "cuFuncLoad");
  }
  free(bytes);
  const double made = clock_microseconds();
  check(driver.cuLibraryUnload(library), "cuLibraryUnload");
  return (struct sample){made - start, clock_microseconds() - made};
}

static struct sample by_library(const char *path) { return load_library(path, false); }

static struct sample by_library_completely(const char *path) { return load_library(path, true); }

static struct sample by_udm(const char *path) {
  udm_context *ctx = NULL;
  (void)path;
  const double start = clock_microseconds();
  if (udm_create(NULL, &ctx) != UDM_OK) fail("udm_create");
  const double made = clock_microseconds();
  udm_destroy(ctx);
  return (struct sample){made - start, clock_microseconds() - made};
}

/* The lower bound of every way. */
static struct sample by_reading(const char *path) {
  const double start = clock_microseconds();
  void *bytes = read_entry(path);
  const double made = clock_microseconds();
  free(bytes);
  return (struct sample){made - start, clock_microseconds() - made};
}

enum { READING, MODULE, LIBRARY, COMPLETE, UDM, WAYS };

static const struct way {
  const char *name;
  struct sample (*take)(const char *path);
} ways[WAYS] = {
    {"read the entry", by_reading},
    {"a: read, cuModuleLoadDataEx, cuModuleGetFunction", by_module},
    {"b: read, cuLibraryLoadData, cuKernelGetFunction", by_library},
    {"B: b and cuFuncLoad, as udm_create does", by_library_completely},
    {"c: warm udm_create, udm_destroy", by_udm},
};

static int compare_doubles(const void *a, const void *b) {
  const double x = *(const double *)a;
  const double y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, compare_doubles);
  return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

struct medians {
  double made;
  double unmade;
  double both;
};

/* Fills the medians of all ways; 0 stays for a way that this driver lacks. */
static void measure(const char *path, int repetitions, struct medians medians[WAYS]) {
  double *values = calloc((size_t)repetitions * WAYS * 3, sizeof *values);
  if (!values) fail("out of memory");
  for (int r = -WARM_UP; r < repetitions; ++r) {
    for (int turn = 0; turn < WAYS; ++turn) {
      const int way = (turn + r + WARM_UP) % WAYS;
      if ((way == LIBRARY || way == COMPLETE) && !has_libraries()) continue;
      const struct sample sample = ways[way].take(path);
      if (r < 0) continue;
      double *of_way = values + (size_t)way * 3 * (size_t)repetitions;
      of_way[r] = sample.made;
      of_way[repetitions + r] = sample.unmade;
      of_way[2 * repetitions + r] = sample.made + sample.unmade;
    }
  }
  for (int way = 0; way < WAYS; ++way) {
    double *of_way = values + (size_t)way * 3 * (size_t)repetitions;
    medians[way].made = median(of_way, repetitions);
    medians[way].unmade = median(of_way + repetitions, repetitions);
    medians[way].both = median(of_way + (size_t)2 * (size_t)repetitions, repetitions);
  }
  free(values);
}

static void print_ratio(const char *name, const struct medians *of, const struct medians *to) {
  printf("%-50s %9.2f %9.2f %9.2f\n", name, of->made / to->made, of->unmade / to->unmade,
         of->both / to->both);
}

static void print_table(const struct medians medians[WAYS]) {
  printf("%-50s %9s %9s %9s\n", "median, us", "until", "unload", "both");
  for (int way = 0; way < WAYS; ++way) {
    if ((way == LIBRARY || way == COMPLETE) && !has_libraries()) {
      printf("%-50s this driver does not have it\n", ways[way].name);
      continue;
    }
    printf("%-50s %9.1f %9.1f %9.1f\n", ways[way].name, medians[way].made, medians[way].unmade,
           medians[way].both);
  }
  print_ratio("c / a", &medians[UDM], &medians[MODULE]);
  if (has_libraries()) {
    print_ratio("c / b", &medians[UDM], &medians[LIBRARY]);
    print_ratio("c / B", &medians[UDM], &medians[COMPLETE]);
    print_ratio("b / a", &medians[LIBRARY], &medians[MODULE]);
  }
}

int main(int argc, char **argv) {
  static char error[9216];
  static udm_image_plan plan = {.struct_size = sizeof plan};
  struct medians medians[WAYS];
  struct gpu_session session;
  const int repetitions = argc > 1 ? atoi(argv[1]) : DEFAULT_REPETITIONS;
  if (repetitions < FEWEST || repetitions > 100000) {
    fprintf(stderr, "measure_warm_create: %d to 100000 repetitions\n", FEWEST);
    return 2;
  }
  /* also fills the cache */
  if (!gpu_session_open(&session, NULL, 0, error, sizeof error)) {
    fprintf(stderr, "measure_warm_create: %s\n", error);
    return 1;
  }
  if (udm_plan_image(NULL, session.info.device_arch, &plan) != UDM_OK) fail("udm_plan_image");
  if (plan.source != UDM_IMAGE_CACHE && plan.source != UDM_IMAGE_READ_ONLY_LAYER) {
    fprintf(stderr, "measure_warm_create: the cache is not warm: is its folder writable?\n");
    return 1;
  }
  resolve_driver();
  measure(plan.detail, repetitions, medians);
  printf("%s, sm_%d; %s, image of %zu bytes; %d repetitions\n", session.name,
         (int)session.info.device_arch, plan.detail, session.info.image_bytes, repetitions);
  print_table(medians);
  gpu_session_close(&session);
  return 0;
}
