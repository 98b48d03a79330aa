/*
 * compare_libraries.c: times the kernels of several builds of libudm in turn, in one process and on
 * the same buffers, and checks that they write the same bytes. Not a test: it prints numbers for a
 * reader to judge.
 *
 * Each library is opened with dlopen() and launched as its own udm_prepare_direct() or
 * udm_prepare_table() says, so kernels with different parameters and grids can be compared. Which
 * image a library loads is decided as always: by UDM_CACHE_DIR and the other variables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lower_bounds.h"
#include "bench/workload.h"
#include "gpu_session.h"
#include "numbers/time_samples.h"

enum { MAX_LIBRARIES = 8, REPETITIONS = 20, WARM_ROUNDS = 2, DEFAULT_ROUNDS = 25 };

static const char help_text[] =
    "usage: compare_libraries [--rounds N] [--match TEXT] [--draft] BASE.so [OTHER.so...]\n"
    "\n"
    "Times each workload with the kernels of every library, in turn, in a CUDA graph, and a copy "
    "of\n"
    "the same bytes beside them. Prints microseconds per launch, or per iteration of three (the\n"
    "median of the rounds), and the ratio to BASE. \"DIFFER\": a library wrote other bytes than\n"
    "BASE; exit status 1.\n"
    "\n"
    "  --rounds N     rounds per workload (default 25)\n"
    "  --match TEXT   only the workloads whose names contain TEXT\n"
    "  --draft        only the draft decode without schedules: all that libraries of before\n"
    "                 udm_mode can do\n";

static const struct bench_shape shapes[] = {
    {"bs 1, 4k", 1, 8192, 4096, 0, 0, BENCH_DRAFT},
    {"bs 1, 4k", 1, 131072, 4096, 0, 0, BENCH_DRAFT},
    {"int64 inputs: bs 1, 4k", 1, 131072, 4096, 0, BENCH_INT64, BENCH_DRAFT},
    {"bs 32, 4k", 32, 131072, 4096, 0, 0, BENCH_DRAFT},
    {"bs 33, 1k to 128k", 33, 131072, 131072, 1024, 0, BENCH_DRAFT},
    {"bs 48, 1k to 128k", 48, 131072, 131072, 1024, 0, BENCH_DRAFT},
    {"bs 64, 1k to 128k", 64, 131072, 131072, 1024, 0, BENCH_DRAFT},
    {"bs 128, 1k to 128k", 128, 131072, 131072, 1024, 0, BENCH_DRAFT},
    {"bs 256, 4k", 256, 16384, 4096, 0, 0, BENCH_DRAFT},
    {"bs 64, 128k", 64, 131072, 131072, 0, 0, BENCH_DRAFT},
    {"bs 8, 1M", 8, 1048576, 1048576, 0, 0, BENCH_DRAFT},
    {"bs 512, one of 128k, others 512", 512, 131072, 131072, 512, BENCH_ONE_LONG, BENCH_DRAFT},
    {"bs 1000, 1k to 16k", 1000, 16384, 16384, 1024, 0, BENCH_DRAFT},
    {"bs 4096, 512", 4096, 512, 512, 0, 0, BENCH_DRAFT},
    {"bs 65536, 16", 65536, 64, 16, 0, 0, BENCH_DRAFT},
    {"misaligned: bs 1, 4k", 1, 131072, 4096, 0, BENCH_MISALIGNED, BENCH_DRAFT},
    {"misaligned: bs 64, 1k to 128k", 64, 131072, 131072, 1024, BENCH_MISALIGNED, BENCH_DRAFT},
    {"pages alone: bs 1, 4k", 1, 131072, 4096, 0, BENCH_PAGES_ALONE, BENCH_DRAFT},
    {"pages alone: bs 64, 1k to 128k", 64, 131072, 131072, 1024, BENCH_PAGES_ALONE, BENCH_DRAFT},
    {"pages alone: bs 64, 128k", 64, 131072, 131072, 0, BENCH_PAGES_ALONE, BENCH_DRAFT},
    {"schedules: bs 1, 4k", 1, 131072, 4096, 0, 0, BENCH_DRAFT_WITH_SCHEDULES},
    {"schedules: bs 64, 1k to 128k", 64, 131072, 131072, 1024, 0, BENCH_DRAFT_WITH_SCHEDULES},
    {"verify: bs 1, 4k", 1, 131072, 4096, 0, 0, BENCH_VERIFY},
    {"verify: bs 64, 1k to 128k", 64, 131072, 131072, 1024, 0, BENCH_VERIFY},
    {"verify: bs 256, 4k", 256, 16384, 4096, 0, 0, BENCH_VERIFY},
    {"verify, pages alone: bs 64, 1k to 128k", 64, 131072, 131072, 1024, BENCH_PAGES_ALONE,
     BENCH_VERIFY},
    {"extend: bs 1, 4k", 1, 131072, 4096, 0, 0, BENCH_EXTEND},
    {"iteration: bs 1, 4k", 1, 131072, 4096, 0, 0, BENCH_ITERATION},
    {"iteration: bs 32, 4k", 32, 131072, 4096, 0, 0, BENCH_ITERATION},
    {"iteration: bs 64, 1k to 128k", 64, 131072, 131072, 1024, 0, BENCH_ITERATION},
    {"iteration: bs 256, 4k", 256, 16384, 4096, 0, 0, BENCH_ITERATION},
};

typedef udm_status create_function(const udm_options *options, udm_context **out);
typedef udm_status prepare_direct_function(udm_context *ctx, const udm_decode_args *args,
                                           udm_kernel_launch *launch);
typedef udm_status prepare_table_function(udm_context *ctx, const udm_decode_args *args,
                                          CUdeviceptr pointers, int64_t stride,
                                          udm_kernel_launch *launch);
typedef const char *last_error_function(void);

struct library {
  udm_context *udm;
  create_function *create;
  prepare_direct_function *prepare_direct;
  prepare_table_function *prepare_table;
  last_error_function *last_error;
};

/* What is compared: libraries[0] is the base. The last graph of a workload is the copy. */
struct comparison {
  struct gpu_session session;
  struct lower_bounds bounds;
  struct library libraries[MAX_LIBRARIES];
  int count;
  long rounds;
  bool draft_only;
  bool differ;
};

/* What a library launches for one workload. */
struct launches {
  udm_kernel_launch of_call[BENCH_MAX_CALLS];
  int count;
};

static void fail(const char *what, const char *why) {
  fprintf(stderr, "compare_libraries: %s: %s\n", what, why);
  exit(1);
}

static void check(const struct comparison *c, const char *call, CUresult result) {
  if (result != CUDA_SUCCESS) fail(call, cuda_driver_error(&c->session.driver, result));
}

static void find(void *handle, const char *path, const char *name, void *function) {
  void *address = dlsym(handle, name);
  if (!address) fail(path, dlerror());
  memcpy(function, &address, sizeof address); /* ISO C has no cast for it */
}

static void open_library(const char *path, struct library *library) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) fail("dlopen", dlerror());
  find(handle, path, "udm_create", &library->create);
  find(handle, path, "udm_prepare_direct", &library->prepare_direct);
  find(handle, path, "udm_prepare_table", &library->prepare_table);
  find(handle, path, "udm_last_error", &library->last_error);
  if (library->create(NULL, &library->udm) != UDM_OK) fail(path, library->last_error());
}

static void prepare(const struct library *library, const struct bench_workload *workload,
                    bool table, struct launches *out) {
  out->count = workload->call_count;
  for (int call = 0; call < out->count; ++call) {
    const udm_decode_args *args = &workload->calls[call];
    udm_kernel_launch *launch = &out->of_call[call];
    *launch = (udm_kernel_launch)UDM_KERNEL_LAUNCH_INIT;
    const udm_status status =
        table ? library->prepare_table(library->udm, args, workload->pointer_table,
                                       args->num_backends, launch)
              : library->prepare_direct(library->udm, args, launch);
    if (status != UDM_OK) fail("prepare", library->last_error());
  }
}

static CUresult enqueue(const struct comparison *c, const struct launches *launches) {
  CUresult result = CUDA_SUCCESS;
  for (int call = 0; call < launches->count && result == CUDA_SUCCESS; ++call) {
    const udm_kernel_launch *launch = &launches->of_call[call];
    result = c->session.driver.cuLaunchKernel(launch->function, launch->grid_x, launch->grid_y,
                                              launch->grid_z, launch->block_x, launch->block_y,
                                              launch->block_z, launch->shared_bytes,
                                              c->session.stream, launch->parameters, NULL);
  }
  return result;
}

/* NULL launches mean the copy. */
static CUgraphExec record(const struct comparison *c, const struct bench_workload *workload,
                          const struct launches *launches) {
  const struct cuda_driver *driver = &c->session.driver;
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  check(c, "cuStreamBeginCapture",
        driver->cuStreamBeginCapture_v2(c->session.stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  for (int i = 0; i < REPETITIONS; ++i) {
    check(c, "a launch",
          launches ? enqueue(c, launches) : bench_launch_copies(&c->bounds, workload));
  }
  check(c, "cuStreamEndCapture", driver->cuStreamEndCapture(c->session.stream, &graph));
  check(c, "cuGraphInstantiate", driver->cuGraphInstantiateWithFlags(&exec, graph, 0));
  driver->cuGraphDestroy(graph);
  return exec;
}

/* The outputs lie between the first backend's first one and the pointer table. */
static void *outputs_of(const struct comparison *c, const struct bench_workload *workload,
                        const struct launches *launches, size_t *size) {
  const struct cuda_driver *driver = &c->session.driver;
  const CUdeviceptr first = workload->calls[0].backends[0].cache_seqlens;
  *size = (size_t)(workload->pointer_table - first);
  void *bytes = malloc(*size);
  if (!bytes) fail("malloc", "no memory for the outputs");
  check(c, "cuMemsetD32Async",
        driver->cuMemsetD32Async(first, 0xa5a5a5a5u, *size / 4, c->session.stream));
  check(c, "a launch", enqueue(c, launches));
  check(c, "cuStreamSynchronize", driver->cuStreamSynchronize(c->session.stream));
  check(c, "cuMemcpyDtoH", driver->cuMemcpyDtoH_v2(bytes, first, *size));
  return bytes;
}

static bool all_write_the_same(const struct comparison *c, const struct bench_workload *workload,
                               const struct launches *launches) {
  size_t size = 0;
  bool same = true;
  void *expected = outputs_of(c, workload, &launches[0], &size);
  for (int l = 1; l < c->count; ++l) {
    void *bytes = outputs_of(c, workload, &launches[l], &size);
    same = same && memcmp(expected, bytes, size) == 0;
    free(bytes);
  }
  free(expected);
  return same;
}

static double time_once(const struct comparison *c, CUgraphExec exec, CUevent start, CUevent end) {
  const struct cuda_driver *driver = &c->session.driver;
  float milliseconds = 0;
  check(c, "cuGraphLaunch", driver->cuGraphLaunch(exec, c->session.stream)); /* warms up */
  check(c, "cuEventRecord", driver->cuEventRecord(start, c->session.stream));
  check(c, "cuGraphLaunch", driver->cuGraphLaunch(exec, c->session.stream));
  check(c, "cuEventRecord", driver->cuEventRecord(end, c->session.stream));
  check(c, "cuEventSynchronize", driver->cuEventSynchronize(end));
  check(c, "cuEventElapsedTime", driver->cuEventElapsedTime(&milliseconds, start, end));
  return (double)milliseconds * 1e3 / REPETITIONS;
}

/* Sets medians[0..count], the last one of the copy. The graphs take turns in each round. */
static void time_in_turn(const struct comparison *c, CUgraphExec *graphs, double *medians) {
  const struct cuda_driver *driver = &c->session.driver;
  struct time_samples samples[MAX_LIBRARIES + 1] = {{NULL, 0, 0}};
  CUevent start = NULL;
  CUevent end = NULL;
  check(c, "cuEventCreate", driver->cuEventCreate(&start, CU_EVENT_DEFAULT));
  check(c, "cuEventCreate", driver->cuEventCreate(&end, CU_EVENT_DEFAULT));
  for (long round = -WARM_ROUNDS; round < c->rounds; ++round) {
    for (int g = 0; g <= c->count; ++g) {
      const double us = time_once(c, graphs[g], start, end);
      if (round >= 0 && !samples_add(&samples[g], us)) fail("malloc", "no memory for the times");
    }
  }
  for (int g = 0; g <= c->count; ++g) {
    medians[g] = samples_percentiles(&samples[g]).p50;
    free(samples[g].values);
  }
  driver->cuEventDestroy_v2(start);
  driver->cuEventDestroy_v2(end);
}

static void compare(struct comparison *c, const struct bench_shape *shape, int32_t backends,
                    bool table) {
  struct bench_workload workload;
  static struct launches launches[MAX_LIBRARIES];
  CUgraphExec graphs[MAX_LIBRARIES + 1] = {NULL};
  double us[MAX_LIBRARIES + 1] = {0};
  check(c, shape->name, bench_workload_open(&workload, &c->session, shape, backends));
  for (int l = 0; l < c->count; ++l) {
    prepare(&c->libraries[l], &workload, table, &launches[l]);
    graphs[l] = record(c, &workload, &launches[l]);
  }
  graphs[c->count] = record(c, &workload, NULL);
  const bool same = all_write_the_same(c, &workload, launches);
  c->differ = c->differ || !same;
  time_in_turn(c, graphs, us);
  printf("%-38s %8" PRId32 "  x%d %-6s %8.2f", shape->name, shape->width, (int)backends,
         table ? "table" : "direct", us[0]);
  for (int l = 1; l < c->count; ++l) printf(" %8.2f %6.3fx", us[l], us[l] / us[0]);
  printf("  copy %8.2f%s\n", us[c->count], same ? "" : "  DIFFER");
  fflush(stdout);
  for (int g = 0; g <= c->count; ++g) c->session.driver.cuGraphExecDestroy(graphs[g]);
  bench_workload_close(&workload);
}

static void compare_shape(struct comparison *c, const struct bench_shape *shape) {
  const bool is_draft = shape->phase == BENCH_DRAFT;
  if (c->draft_only && !is_draft) return;
  compare(c, shape, shape->phase == BENCH_VERIFY || shape->phase == BENCH_EXTEND ? 1 : 3, false);
  if (!is_draft) return;
  compare(c, shape, 1, false);
  compare(c, shape, 3, true);
}

static int usage_error(const char *what) {
  fprintf(stderr, "compare_libraries: %s (see compare_libraries --help)\n", what);
  return 2;
}

int main(int argc, char **argv) {
  static struct comparison c = {.rounds = DEFAULT_ROUNDS};
  const char *match = "";
  char error[1024] = "";
  int at = 1;
  for (; at < argc && argv[at][0] == '-'; at += 2) {
    if (strcmp(argv[at], "--help") == 0) return fputs(help_text, stdout) < 0;
    if (strcmp(argv[at], "--draft") == 0) {
      c.draft_only = true;
      --at; /* it has no value */
      continue;
    }
    if (at + 1 == argc) return usage_error("an option needs a value");
    if (strcmp(argv[at], "--match") == 0) {
      match = argv[at + 1];
    } else if (strcmp(argv[at], "--rounds") == 0) {
      c.rounds = strtol(argv[at + 1], NULL, 10);
      if (c.rounds < 1) return usage_error("--rounds must be 1 or more");
    } else {
      return usage_error("unknown option");
    }
  }
  if (at == argc) return usage_error("name at least one library");
  if (argc - at > MAX_LIBRARIES) return usage_error("at most 8 libraries");
  if (!gpu_session_open(&c.session, NULL, 0, error, sizeof error)) fail("no GPU", error);
  if (!lower_bounds_open(&c.bounds, &c.session, NULL, error, sizeof error)) fail("copy", error);
  for (; at < argc; ++at, ++c.count) {
    open_library(argv[at], &c.libraries[c.count]);
    printf("%s %s\n", c.count ? "other" : "base ", argv[at]);
  }
  printf("device %s\nus per graph node, median of %ld rounds\n", c.session.name, c.rounds);
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; ++s) {
    if (!strstr(shapes[s].name, match)) continue;
    compare_shape(&c, &shapes[s]);
  }
  return c.differ ? 1 : 0;
}
