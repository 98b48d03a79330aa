/*
 * compare_libraries.c: times the kernels of several builds of libudm.so in turn, in one process, on
 * the same buffers. Not a test: it prints a table.
 *
 *     compare_libraries [--replays N] [--only TEXT] OLD.so NEW.so...
 *
 * Each figure is the median time, in microseconds, of one node of a graph of ten equal kernel
 * nodes. Ratios are to the first library. A build whose outputs differ from those of the first in
 * any byte, written or not, is reported, and the exit status is 1.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lower_bounds.h"
#include "gpu/gpu_session.h"
#include "numbers/random.h"
#include "numbers/time_samples.h"

enum { NODES = 10, MOST_LIBRARIES = 8, PAGE_SIZE = 64, TOPK = 2048, ALIGNMENT = 512 };
enum { UNWRITTEN = 0x5a5a5a5a };

struct shape {
  const char *name;
  int32_t batch_size;
  int32_t width;    /* of the tables, in tokens */
  int32_t length;   /* of every row, or the longest */
  int32_t shortest; /* if not 0: lengths are log-uniform from here to length */
  int32_t long_row; /* if not 0: the length of row 100 */
};

static const struct shape shapes[] = {
    {"bs 1, 4k, width 8k", 1, 8192, 4096, 0, 0},
    {"bs 1, 4k, width 128k", 1, 131072, 4096, 0, 0},
    {"bs 1, 4k, width 1M", 1, 1048576, 4096, 0, 0},
    {"bs 32, 4k, width 128k", 32, 131072, 4096, 0, 0},
    {"bs 48, 1k to 128k", 48, 131072, 131072, 1024, 0},
    {"bs 64, 1k to 128k", 64, 131072, 131072, 1024, 0},
    {"bs 128, 1k to 128k", 128, 131072, 131072, 1024, 0},
    {"bs 256, 4k, width 16k", 256, 16384, 4096, 0, 0},
    {"bs 64, 128k", 64, 131072, 131072, 0, 0},
    {"bs 8, 1M", 8, 1048576, 1048576, 0, 0},
    {"bs 1000, 1k to 16k", 1000, 16384, 16384, 1024, 0},
    {"bs 4096, 512", 4096, 512, 512, 0, 0},
    {"bs 512, 512, one row of 128k", 512, 131072, 512, 0, 131072},
    {"bs 65536, 16", 65536, 16, 16, 0, 0},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* What varies beside the shape. */
struct variant {
  const char *name;
  int32_t backends;
  bool pages_alone;
  bool is_int64;   /* the inputs */
  bool table;      /* the pointer-table call */
  bool misaligned; /* the page_table_1 begin one element apart: no vectors */
};

static const struct variant variants[] = {
    {"3 backends", 3, false, false, false, false},
    {"pages alone", 3, true, false, false, false},
    {"1 backend, int64", 1, false, true, false, false},
    {"pointer table", 3, false, false, true, false},
    {"misaligned", 3, false, false, false, true},
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

struct library {
  const char *path;
  udm_context *context;
  udm_status (*create)(const udm_options *, udm_context **);
  void (*destroy)(udm_context *);
  udm_status (*direct)(udm_context *, const udm_decode_args *, CUstream);
  udm_status (*table)(udm_context *, const udm_decode_args *, CUdeviceptr, int64_t, CUstream);
  const char *(*last_error)(void);
  CUgraphExec exec;
  struct time_samples samples;
};

struct comparison {
  struct gpu_session session;
  struct lower_bounds bounds;
  struct library libraries[MOST_LIBRARIES + 1]; /* the last: the copy */
  int count;
  int replays;
  const char *only;
  CUdeviceptr slots, inputs, outputs, table; /* allocations for the largest shape */
  size_t output_bytes;                       /* of the present shape */
  udm_decode_args args;                      /* of the present shape */
  int64_t copied;                            /* elements of the plain copy */
  unsigned char *expected, *actual;
  CUevent start, end;
  bool differs;
};

static void fail(const char *what, const char *why) {
  fprintf(stderr, "compare_libraries: %s: %s\n", what, why ? why : "unknown");
  exit(2);
}

static void check(const struct comparison *c, const char *what, CUresult result) {
  if (result != CUDA_SUCCESS) fail(what, cuda_driver_error(&c->session.driver, result));
}

static void find(void *handle, const char *name, void *function) {
  void *const address = dlsym(handle, name);
  if (!address) fail(name, dlerror());
  memcpy(function, &address, sizeof address);
}

static void open_library(struct library *library, const char *path) {
  void *const handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) fail(path, dlerror());
  library->path = path;
  find(handle, "udm_create", &library->create);
  find(handle, "udm_destroy", &library->destroy);
  find(handle, "udm_decode_metadata_direct", &library->direct);
  find(handle, "udm_decode_metadata_table", &library->table);
  find(handle, "udm_last_error", &library->last_error);
  if (library->create(NULL, &library->context) != UDM_OK) fail(path, library->last_error());
}

static int32_t row_length(const struct shape *shape, int32_t i) {
  if (shape->long_row && i == 100) return shape->long_row;
  if (!shape->shortest) return shape->length;
  uint64_t state = (uint64_t)i * 0x9e3779b97f4a7c15u + 1;
  const double part = (double)(random_next(&state) >> 11) / 9007199254740992.0;
  return (int32_t)(shape->shortest * pow((double)shape->length / shape->shortest, part));
}

static CUdeviceptr take(size_t *used, CUdeviceptr base, int64_t elements) {
  const CUdeviceptr place = base + *used;
  *used += ((size_t)elements * 4 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return place;
}

static size_t lay_out(const struct shape *shape, const struct variant *variant, CUdeviceptr base,
                      udm_decode_args *args) {
  const int64_t rows = shape->batch_size;
  const int64_t pages = (shape->width + PAGE_SIZE - 1) / PAGE_SIZE;
  size_t used = 0;
  args->batch_size = shape->batch_size;
  args->max_len = shape->width;
  args->num_backends = variant->backends;
  args->nsa_index_topk = TOPK;
  args->real_page_size = PAGE_SIZE;
  args->req_to_token_stride = args->page_table_stride = shape->width;
  args->real_page_table_stride = pages;
  args->seq_lens_type = args->req_pool_indices_type = variant->is_int64 ? UDM_INT64 : UDM_INT32;
  for (int b = 0; b < variant->backends; ++b) {
    udm_backend_outputs *const to = &args->backends[b];
    to->cache_seqlens = take(&used, base, rows);
    to->cu_seqlens_k = take(&used, base, rows + 1);
    if (!variant->pages_alone) to->page_table_1 = take(&used, base, rows * shape->width + 1);
    if (variant->misaligned && b == 1) to->page_table_1 += sizeof(int32_t);
    to->nsa_cache_seqlens = take(&used, base, rows);
    to->nsa_cu_seqlens_k = take(&used, base, rows + 1);
    to->real_page_table = take(&used, base, rows * pages);
    to->seqlens_expanded = take(&used, base, rows);
  }
  return used;
}

/* The lengths, and the rows of req_to_token from the last to the first. */
static void upload_inputs(struct comparison *c, const struct shape *shape,
                          const struct variant *variant) {
  const struct cuda_driver *const driver = &c->session.driver;
  const size_t rows = (size_t)shape->batch_size;
  const size_t size = variant->is_int64 ? 8 : 4;
  unsigned char *const host = calloc(2 * rows, size);
  if (!host) fail("calloc", "out of memory");
  c->copied = 0;
  for (size_t i = 0; i < rows; ++i) {
    const int32_t length = row_length(shape, (int32_t)i);
    const int32_t index = (int32_t)(rows - 1 - i);
    memcpy(host + i * size, &length, sizeof length); /* little-endian; none is negative */
    memcpy(host + (rows + i) * size, &index, sizeof index);
    c->copied += variant->pages_alone ? (length + PAGE_SIZE - 1) / PAGE_SIZE : length;
  }
  c->args.seq_lens = c->inputs;
  c->args.req_pool_indices = c->inputs + rows * size;
  c->args.req_to_token = c->slots;
  check(c, "cuMemcpyHtoD", driver->cuMemcpyHtoD_v2(c->inputs, host, 2 * rows * size));
  free(host);
}

static void upload_table(struct comparison *c) {
  CUdeviceptr pointers[UDM_OUTPUTS_PER_BACKEND * UDM_MAX_BACKENDS];
  const int backends = c->args.num_backends;
  for (int b = 0; b < backends; ++b) {
    CUdeviceptr outputs[UDM_OUTPUTS_PER_BACKEND];
    memcpy(outputs, &c->args.backends[b], sizeof outputs);
    for (int o = 0; o < UDM_OUTPUTS_PER_BACKEND; ++o) pointers[o * backends + b] = outputs[o];
  }
  check(c, "cuMemcpyHtoD", c->session.driver.cuMemcpyHtoD_v2(c->table, pointers, sizeof pointers));
}

static void enqueue(struct comparison *c, const struct library *library,
                    const struct variant *variant) {
  if (!library->path) {
    struct bench_targets to = {.count = variant->backends};
    for (int b = 0; b < to.count; ++b) {
      const udm_backend_outputs *const outputs = &c->args.backends[b];
      to.tables[b] = variant->pages_alone ? outputs->real_page_table : outputs->page_table_1;
      to.tables[b] &= ~(CUdeviceptr)15;
    }
    check(c, "copy", bench_launch_copy(&c->bounds, &c->session, c->slots, &to, c->copied));
    return;
  }
  const udm_status status = variant->table
                                ? library->table(library->context, &c->args, c->table,
                                                 c->args.num_backends, c->session.stream)
                                : library->direct(library->context, &c->args, c->session.stream);
  if (status != UDM_OK) fail(library->path, library->last_error());
}

static void run_once(struct comparison *c, const struct library *library,
                     const struct variant *variant, unsigned char *bytes) {
  const struct cuda_driver *const driver = &c->session.driver;
  check(c, "cuMemsetD32Async",
        driver->cuMemsetD32Async(c->outputs, UNWRITTEN, c->output_bytes / 4, c->session.stream));
  enqueue(c, library, variant);
  check(c, "the kernel", driver->cuStreamSynchronize(c->session.stream));
  check(c, "cuMemcpyDtoH", driver->cuMemcpyDtoH_v2(bytes, c->outputs, c->output_bytes));
}

static void compare_outputs(struct comparison *c, const struct variant *variant) {
  run_once(c, &c->libraries[0], variant, c->expected);
  for (int i = 1; i < c->count; ++i) {
    run_once(c, &c->libraries[i], variant, c->actual);
    if (memcmp(c->expected, c->actual, c->output_bytes) == 0) continue;
    size_t at = 0;
    while (c->expected[at] == c->actual[at]) ++at;
    printf("DIFFERS: %s at byte %zu of %zu\n", c->libraries[i].path, at, c->output_bytes);
    c->differs = true;
  }
}

static void record(struct comparison *c, struct library *library, const struct variant *variant) {
  const struct cuda_driver *const driver = &c->session.driver;
  CUgraph graph = NULL;
  check(c, "cuStreamBeginCapture",
        driver->cuStreamBeginCapture_v2(c->session.stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  for (int i = 0; i < NODES; ++i) enqueue(c, library, variant);
  check(c, "cuStreamEndCapture", driver->cuStreamEndCapture(c->session.stream, &graph));
  check(c, "cuGraphInstantiate", driver->cuGraphInstantiateWithFlags(&library->exec, graph, 0));
  driver->cuGraphDestroy(graph);
}

static double replay(struct comparison *c, const struct library *library) {
  const struct cuda_driver *const driver = &c->session.driver;
  float milliseconds = 0;
  check(c, "cuEventRecord", driver->cuEventRecord(c->start, c->session.stream));
  check(c, "cuGraphLaunch", driver->cuGraphLaunch(library->exec, c->session.stream));
  check(c, "cuEventRecord", driver->cuEventRecord(c->end, c->session.stream));
  check(c, "cuEventSynchronize", driver->cuEventSynchronize(c->end));
  check(c, "cuEventElapsedTime", driver->cuEventElapsedTime(&milliseconds, c->start, c->end));
  return (double)milliseconds * 1e3 / NODES;
}

static void time_all(struct comparison *c, const struct variant *variant) {
  const int all = c->count + 1;
  for (int i = 0; i < all; ++i) record(c, &c->libraries[i], variant);
  for (int r = -3; r < c->replays; ++r) {
    for (int k = 0; k < all; ++k) {
      struct library *const library = &c->libraries[(k + r + 3) % all];
      const double time = replay(c, library);
      if (r >= 0 && !samples_add(&library->samples, time)) fail("malloc", "out of memory");
    }
  }
  double first = 0;
  for (int i = 0; i < all; ++i) {
    struct library *const library = &c->libraries[i];
    const double median = samples_percentiles(&library->samples).p50;
    if (i == 0) first = median;
    printf(i == 0 ? " %8.2f" : i < c->count ? " %8.2f %5.3f" : " %8.2f\n", median, median / first);
    library->samples.count = 0;
    c->session.driver.cuGraphExecDestroy(library->exec);
  }
  fflush(stdout);
}

static void compare_shape(struct comparison *c, const struct shape *shape,
                          const struct variant *variant) {
  char title[96];
  snprintf(title, sizeof title, "%s, %s", shape->name, variant->name);
  if (c->only && !strstr(title, c->only)) return;
  c->args = (udm_decode_args)UDM_DECODE_ARGS_INIT;
  c->output_bytes = lay_out(shape, variant, c->outputs, &c->args);
  upload_inputs(c, shape, variant);
  upload_table(c);
  compare_outputs(c, variant);
  printf("%-46s", title);
  time_all(c, variant);
}

static void allocate(struct comparison *c) {
  const struct cuda_driver *const driver = &c->session.driver;
  size_t slots = 0;
  size_t rows = 0;
  size_t output_bytes = 0;
  for (int s = 0; s < SHAPES; ++s) {
    udm_decode_args args = UDM_DECODE_ARGS_INIT;
    const size_t bytes = lay_out(&shapes[s], &variants[0], 0, &args);
    const size_t elements = (size_t)shapes[s].batch_size * (size_t)shapes[s].width;
    if (elements > slots) slots = elements;
    if (bytes > output_bytes) output_bytes = bytes;
    if ((size_t)shapes[s].batch_size > rows) rows = (size_t)shapes[s].batch_size;
  }
  c->expected = malloc(output_bytes);
  c->actual = malloc(output_bytes);
  int32_t *const random = malloc(slots * sizeof *random);
  if (!c->expected || !c->actual || !random) fail("malloc", "out of memory");
  uint64_t state = 1;
  for (size_t i = 0; i < slots; ++i) random[i] = (int32_t)(random_next(&state) & 0x7fffffffu);
  check(c, "cuMemAlloc", driver->cuMemAlloc_v2(&c->slots, slots * sizeof *random));
  check(c, "cuMemAlloc", driver->cuMemAlloc_v2(&c->inputs, 2 * 8 * rows));
  check(c, "cuMemAlloc", driver->cuMemAlloc_v2(&c->outputs, output_bytes));
  check(c, "cuMemAlloc", driver->cuMemAlloc_v2(&c->table, 4096));
  check(c, "cuMemcpyHtoD", driver->cuMemcpyHtoD_v2(c->slots, random, slots * sizeof *random));
  check(c, "cuEventCreate", driver->cuEventCreate(&c->start, CU_EVENT_DEFAULT));
  check(c, "cuEventCreate", driver->cuEventCreate(&c->end, CU_EVENT_DEFAULT));
  free(random);
}

static void read_arguments(struct comparison *c, int argc, char **argv, const char **paths) {
  c->replays = 41;
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--replays") == 0 && i + 1 < argc) {
      c->replays = atoi(argv[++i]);
    } else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
      c->only = argv[++i];
    } else if (argv[i][0] != '-' && c->count < MOST_LIBRARIES) {
      paths[c->count++] = argv[i];
    } else {
      fail(argv[i], "see the top of compare_libraries.c");
    }
  }
  if (c->count < 2 || c->replays < 1) fail("usage", "[--replays N] [--only TEXT] OLD.so NEW.so...");
}

int main(int argc, char **argv) {
  static struct comparison c;
  const char *paths[MOST_LIBRARIES];
  char reason[1024];
  read_arguments(&c, argc, argv, paths);
  if (!gpu_session_open(&c.session, NULL, 0, reason, sizeof reason)) fail("GPU", reason);
  if (!lower_bounds_open(&c.bounds, &c.session, NULL, reason, sizeof reason)) fail("copy", reason);
  for (int i = 0; i < c.count; ++i) open_library(&c.libraries[i], paths[i]);
  allocate(&c);
  printf("%s, us per graph node, median of %d; ratios to the first library\n%-46s", c.session.name,
         c.replays, "");
  for (int i = 0; i < c.count; ++i) {
    const char *const slash = strrchr(paths[i], '/');
    printf(i == 0 ? " %8.8s" : " %14.14s", slash ? slash + 1 : paths[i]);
  }
  printf("     copy\n");
  for (int v = 0; v < VARIANTS; ++v) {
    for (int s = 0; s < SHAPES; ++s) compare_shape(&c, &shapes[s], &variants[v]);
  }
  return c.differs;
}
