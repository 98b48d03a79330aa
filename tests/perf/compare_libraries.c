/*
 * compare_libraries.c: times the kernels of several builds of libudm in turn, in one process, on
 * the same buffers, as nodes of a CUDA graph; checks that all write the same bytes.
 *
 * usage: compare_libraries [--filter TEXT] [--copy CUBIN] BASE.so OTHER.so...
 *
 * Each build is opened with dlopen() and launched as its own udm_prepare_direct() or
 * udm_prepare_table() says, so kernels with different parameters and grids compare. It compiles its
 * kernel as UDM_CACHE_DIR and the other settings say. The copy is udm_bench_copy of
 * tools/bench/floor_kernels.cu: one read of the live columns and one write per backend.
 * Prints microseconds per node, median of the rounds, and the ratio to BASE.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "udm.h"

typedef int (*driver_function)();
#define DRIVER(X)                                                                              \
  X(cuInit) X(cuDevicePrimaryCtxRetain) X(cuCtxSetCurrent) X(cuMemAlloc_v2) X(cuMemFree_v2)    \
  X(cuMemcpyHtoD_v2) X(cuMemcpyDtoH_v2) X(cuMemsetD8_v2) X(cuStreamCreate) X(cuLaunchKernel)   \
  X(cuStreamBeginCapture_v2) X(cuStreamEndCapture) X(cuGraphInstantiateWithFlags)              \
  X(cuGraphLaunch) X(cuStreamSynchronize) X(cuEventCreate) X(cuEventRecord) X(cuModuleLoad)    \
  X(cuEventElapsedTime) X(cuModuleGetFunction) X(cuGraphExecDestroy) X(cuGraphDestroy)
#define DECLARE(name) static driver_function name;
DRIVER(DECLARE)

#define CHECK(call)                                                       \
  do {                                                                    \
    const int result_ = (int)(call);                                      \
    if (result_ != 0) {                                                   \
      fprintf(stderr, "%s: %d, line %d\n", #call, result_, __LINE__);     \
      exit(1);                                                            \
    }                                                                     \
  } while (0)

enum { MOST_LIBRARIES = 16, ROUNDS = 25, OUTPUTS = UDM_OUTPUTS_PER_BACKEND };

struct library {
  const char *name;
  udm_context *ctx;
  udm_status (*prepare_direct)(udm_context *, const udm_decode_args *, udm_kernel_launch *);
  udm_status (*prepare_table)(udm_context *, const udm_decode_args *, CUdeviceptr, int64_t,
                              udm_kernel_launch *);
  const char *(*last_error)(void);
};

enum lengths { SAME, MIXED, ONE_LONG };
enum outputs { ALL, PAGES_ALONE, TABLE };

struct shape {
  const char *name;
  int batch_size, width;
  enum lengths lengths;
  int low, high;
  unsigned seed;
};

static const struct shape shapes[] = {
    {"bs 1 4k width 8k", 1, 8192, SAME, 4096, 4096, 1},
    {"bs 1 4k width 128k", 1, 131072, SAME, 4096, 4096, 1},
    {"bs 32 4k", 32, 131072, SAME, 4096, 4096, 1},
    {"bs 33 mixed", 33, 131072, MIXED, 1024, 131072, 2},
    {"bs 48 mixed", 48, 131072, MIXED, 1024, 131072, 3},
    {"bs 64 mixed a", 64, 131072, MIXED, 1024, 131072, 4},
    {"bs 64 mixed b", 64, 131072, MIXED, 1024, 131072, 5},
    {"bs 128 mixed", 128, 131072, MIXED, 1024, 131072, 6},
    {"bs 256 4k", 256, 16384, SAME, 4096, 4096, 1},
    {"bs 64 x 128k", 64, 131072, SAME, 131072, 131072, 1},
    {"bs 8 x 1M", 8, 1048576, SAME, 1048576, 1048576, 1},
    {"bs 1000 mixed", 1000, 16384, MIXED, 1024, 16384, 7},
    {"bs 4096 x 512", 4096, 512, SAME, 512, 512, 1},
    {"bs 512 one long", 512, 131072, ONE_LONG, 512, 131072, 1},
    {"bs 65536 x 16", 65536, 64, SAME, 16, 16, 1},
};

static uint64_t random_state;
static uint32_t draw(uint32_t below) {
  random_state += 0x9e3779b97f4a7c15u;
  uint64_t z = random_state;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (uint32_t)(z ^ z >> 31) % below;
}

static void open_driver(void) {
  void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (!driver) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
#define LOOK_UP(name)                                        \
  *(void **)&name = dlsym(driver, #name);                    \
  if (!name) {                                               \
    fprintf(stderr, "the driver has no %s\n", #name);        \
    exit(1);                                                 \
  }
  DRIVER(LOOK_UP)
}

static void *symbol(void *handle, const char *name) {
  void *found = dlsym(handle, name);
  if (found) return found;
  fprintf(stderr, "%s\n", dlerror());
  exit(1);
}

static struct library open_library(const char *path) {
  struct library library = {path, NULL, NULL, NULL, NULL};
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  udm_status (*create)(const udm_options *, udm_context **) = NULL;
  *(void **)&create = symbol(handle, "udm_create");
  *(void **)&library.prepare_direct = symbol(handle, "udm_prepare_direct");
  *(void **)&library.prepare_table = symbol(handle, "udm_prepare_table");
  *(void **)&library.last_error = symbol(handle, "udm_last_error");
  if (create(NULL, &library.ctx) != UDM_OK) {
    fprintf(stderr, "%s: %s\n", path, library.last_error());
    exit(1);
  }
  return library;
}

static CUdeviceptr allocate(size_t bytes) {
  CUdeviceptr address = 0;
  CHECK(cuMemAlloc_v2(&address, bytes));
  return address;
}

struct problem {
  udm_decode_args args;
  CUdeviceptr inputs[3], arena, table;
  size_t arena_bytes, live;
};

static int length_of(const struct shape *shape, int row) {
  if (shape->lengths == SAME) return shape->high;
  if (shape->lengths == ONE_LONG) return row == 77 ? shape->high : shape->low;
  /* mixed: the logarithm is uniform */
  const double steps = log2((double)shape->high / shape->low);
  return (int)(shape->low * exp2(steps * draw(1u << 20) / (1u << 20)));
}

static void make_problem(const struct shape *shape, enum outputs outputs, int backends,
                         struct problem *out) {
  memset(out, 0, sizeof *out);
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  const size_t rows = (size_t)shape->batch_size, width = (size_t)shape->width;
  const size_t pages = (width + 63) / 64;
  const size_t reqs = rows + 3;
  int64_t *lens = malloc(rows * 8), *indices = malloc(rows * 8);
  int32_t *slots = malloc(reqs * width * 4);
  random_state = shape->seed;
  for (size_t i = 0; i < rows; ++i) {
    lens[i] = length_of(shape, (int)i);
    out->live += (size_t)lens[i];
    indices[i] = (int64_t)((i * 7 + 3) % reqs);
  }
  for (size_t i = 0; i < reqs * width; ++i) slots[i] = (int32_t)draw(0x7fffffff);
  out->inputs[0] = args.seq_lens = allocate(rows * 8);
  out->inputs[1] = args.req_pool_indices = allocate(rows * 8);
  out->inputs[2] = args.req_to_token = allocate(reqs * width * 4);
  CHECK(cuMemcpyHtoD_v2(args.seq_lens, lens, rows * 8));
  CHECK(cuMemcpyHtoD_v2(args.req_pool_indices, indices, rows * 8));
  CHECK(cuMemcpyHtoD_v2(args.req_to_token, slots, reqs * width * 4));
  free(lens), free(indices), free(slots);
  args.seq_lens_type = args.req_pool_indices_type = UDM_INT64;
  args.req_to_token_stride = shape->width;
  args.page_table_stride = outputs == PAGES_ALONE ? 0 : shape->width;
  args.real_page_table_stride = (int64_t)pages;
  args.batch_size = shape->batch_size;
  args.max_len = shape->width;
  args.num_backends = backends;
  args.nsa_index_topk = 2048;
  args.real_page_size = 64;
  const size_t sizes[OUTPUTS] = {rows, rows + 1, outputs == PAGES_ALONE ? 0 : rows * width,
                                 rows, rows + 1, rows * pages, rows};
  size_t bytes = 0;
  for (int o = 0; o < OUTPUTS; ++o) bytes += (sizes[o] * 4 + 511) / 256 * 256;
  out->arena_bytes = bytes * (size_t)backends;
  out->arena = allocate(out->arena_bytes);
  CUdeviceptr at = out->arena;
  CUdeviceptr table[OUTPUTS * UDM_MAX_BACKENDS];
  for (int b = 0; b < backends; ++b) {
    CUdeviceptr *outputs_of = &args.backends[b].cache_seqlens;
    for (int o = 0; o < OUTPUTS; ++o) {
      outputs_of[o] = table[o * backends + b] = sizes[o] ? at : 0;
      at += (sizes[o] * 4 + 511) / 256 * 256;
    }
  }
  out->table = allocate(sizeof table);
  CHECK(cuMemcpyHtoD_v2(out->table, table, sizeof table));
  out->args = args;
}

static void free_problem(struct problem *problem) {
  for (int i = 0; i < 3; ++i) cuMemFree_v2(problem->inputs[i]);
  cuMemFree_v2(problem->arena);
  cuMemFree_v2(problem->table);
}

static CUstream stream;

static void launch_once(const udm_kernel_launch *launch) {
  CHECK(cuLaunchKernel(launch->function, launch->grid_x, 1u, 1u, launch->block_x, 1u, 1u, 0u,
                       stream, launch->parameters, (void **)NULL));
}

static void *make_graph(const udm_kernel_launch *launch, int nodes) {
  void *graph = NULL, *executable = NULL;
  CHECK(cuStreamBeginCapture_v2(stream, 2));
  for (int i = 0; i < nodes; ++i) launch_once(launch);
  CHECK(cuStreamEndCapture(stream, &graph));
  CHECK(cuGraphInstantiateWithFlags(&executable, graph, 0ull));
  cuGraphDestroy(graph);
  return executable;
}

static int compare_floats(const void *a, const void *b) {
  const float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* Fills the arena with the launch's outputs and downloads it. */
static void *outputs_after(const struct problem *problem, const udm_kernel_launch *launch) {
  unsigned char *bytes = malloc(problem->arena_bytes);
  CHECK(cuMemsetD8_v2(problem->arena, 0xa5, problem->arena_bytes));
  launch_once(launch);
  CHECK(cuStreamSynchronize(stream));
  CHECK(cuMemcpyDtoH_v2(bytes, problem->arena, problem->arena_bytes));
  return bytes;
}

struct copy_targets {
  CUdeviceptr tables[8];
};

static void compare(const struct shape *shape, enum outputs outputs, int backends,
                    struct library *libraries, int count, void *copy) {
  struct problem problem;
  make_problem(shape, outputs, backends, &problem);
  static udm_kernel_launch launches[MOST_LIBRARIES + 1];
  void *graphs[MOST_LIBRARIES + 1];
  static float times[MOST_LIBRARIES + 1][ROUNDS];
  const int nodes = problem.live > 2000000 ? 20 : 60;
  bool same = true;
  void *first = NULL;
  for (int l = 0; l < count; ++l) {
    launches[l] = (udm_kernel_launch)UDM_KERNEL_LAUNCH_INIT;
    struct library *library = &libraries[l];
    const udm_status status =
        outputs == TABLE ? library->prepare_table(library->ctx, &problem.args, problem.table,
                                                  backends, &launches[l])
                         : library->prepare_direct(library->ctx, &problem.args, &launches[l]);
    if (status != UDM_OK) {
      fprintf(stderr, "%s: %s\n", library->name, library->last_error());
      exit(1);
    }
    void *bytes = outputs_after(&problem, &launches[l]);
    if (!first) {
      first = bytes;
    } else {
      same = same && memcmp(first, bytes, problem.arena_bytes) == 0;
      free(bytes);
    }
    graphs[l] = make_graph(&launches[l], nodes);
  }
  free(first);
  /* the copy: as many bytes as the live columns, from one table to those of the backends */
  const long long vectors = (long long)(problem.live / 4);
  int targets = backends;
  struct copy_targets to = {{0}};
  for (int b = 0; b < backends; ++b) to.tables[b] = problem.args.backends[b].page_table_1;
  CUdeviceptr from = problem.args.req_to_token;
  void *parameters[] = {&from, &to, &targets, (void *)&vectors};
  const bool has_copy = copy && outputs != PAGES_ALONE;
  if (has_copy) {
    const long long blocks = (vectors + 2047) / 2048;
    launches[count] = (udm_kernel_launch){.function = copy,
                                          .grid_x = blocks < 264 ? (unsigned)blocks + 1 : 264,
                                          .block_x = 512,
                                          .parameters = parameters};
    graphs[count] = make_graph(&launches[count], nodes);
  }
  const int all = count + has_copy;
  void *begin = NULL, *end = NULL;
  CHECK(cuEventCreate(&begin, 0u));
  CHECK(cuEventCreate(&end, 0u));
  for (int round = -2; round < ROUNDS; ++round) {
    for (int l = 0; l < all; ++l) {
      CHECK(cuGraphLaunch(graphs[l], stream)); /* warm: caches and clocks as in a loop */
      CHECK(cuEventRecord(begin, stream));
      CHECK(cuGraphLaunch(graphs[l], stream));
      CHECK(cuEventRecord(end, stream));
      CHECK(cuStreamSynchronize(stream));
      float milliseconds = 0;
      CHECK(cuEventElapsedTime(&milliseconds, begin, end));
      if (round >= 0) times[l][round] = milliseconds * 1000 / (float)nodes;
    }
  }
  static const char *const names[] = {"all", "pages", "table"};
  printf("%-20s %-5s x%d %s", shape->name, names[outputs], backends, same ? "same  " : "DIFFER");
  for (int l = 0; l < all; ++l) {
    qsort(times[l], ROUNDS, sizeof(float), compare_floats);
    const float median = times[l][ROUNDS / 2];
    printf(l == 0 ? " %7.3f" : " %7.3f (%.3f)", (double)median,
           (double)(median / times[0][ROUNDS / 2]));
    cuGraphExecDestroy(graphs[l]);
  }
  printf("%s\n", has_copy ? " <- copy" : "");
  fflush(stdout);
  free_problem(&problem);
}

static const char usage[] =
    "usage: compare_libraries [--filter TEXT] [--copy CUBIN] BASE.so OTHER.so...\n"
    "\nTimes the kernels of several builds of libudm in turn: same process, same buffers.\n"
    "Prints us per graph node (median) and the ratio to BASE.\n";

int main(int argc, char **argv) {
  const char *filter = "", *copy_path = NULL;
  int at = 1;
  for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
    if (strcmp(argv[at], "--filter") == 0) filter = argv[at + 1];
    else if (strcmp(argv[at], "--copy") == 0) copy_path = argv[at + 1];
    else break;
  }
  if (at >= argc || argv[at][0] == '-' || argc - at > MOST_LIBRARIES) {
    fputs(usage, at < argc && strcmp(argv[at], "--help") == 0 ? stdout : stderr);
    return at < argc && strcmp(argv[at], "--help") == 0 ? 0 : 2;
  }
  open_driver();
  void *context = NULL, *module = NULL;
  void *copy = NULL;
  CHECK(cuInit(0u));
  CHECK(cuDevicePrimaryCtxRetain(&context, 0));
  CHECK(cuCtxSetCurrent(context));
  CHECK(cuStreamCreate(&stream, 1u));
  if (copy_path) {
    CHECK(cuModuleLoad(&module, copy_path));
    CHECK(cuModuleGetFunction(&copy, module, "udm_bench_copy"));
  }
  struct library libraries[MOST_LIBRARIES];
  const int count = argc - at;
  for (int l = 0; l < count; ++l) {
    libraries[l] = open_library(argv[at + l]);
    printf("%d %s\n", l, argv[at + l]);
  }
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; ++s) {
    if (!strstr(shapes[s].name, filter)) continue;
    compare(&shapes[s], ALL, 3, libraries, count, copy);
    compare(&shapes[s], ALL, 1, libraries, count, copy);
    compare(&shapes[s], PAGES_ALONE, 3, libraries, count, NULL);
    compare(&shapes[s], TABLE, 3, libraries, count, NULL);
  }
  return 0;
}
