/*
 * driver.h: what the files of the fake driver share. Tests include fake_cuda.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_DRIVER_H
#define UDM_TESTS_DRIVER_H

#include "driver_functions.h"
#include "fake_cubin.h"
#include "host_kernel.h"

/* calls.c: the way into and out of every exported function. */

enum requirement {
  NEEDS_NOTHING = 0,
  NEEDS_INIT = 1,
  NEEDS_CONTEXT = 2, /* a current context in which no kernel has failed; implies NEEDS_INIT */
  UNSAFE_IN_CAPTURE = 4
};

/*
 * Takes the lock. A fault before the leave, for example a copy from an invalid address, ends the
 * process. If the result is not CUDA_SUCCESS, the function must do nothing more. A leave follows
 * every enter:
 *
 *     CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
 *     if (result == CUDA_SUCCESS) result = do_it(...);
 *     return fake_cuda_leave(result);
 */
CUresult fake_cuda_enter(const char *function, unsigned int requirements);
CUresult fake_cuda_leave(CUresult result);

/* The next number of the driver's generator, seeded by UDM_FAKE_CUDA_SEED. */
uint64_t fake_cuda_random(void);

/*
 * calls.c: the registry of the objects that the driver created. Each object begins with a handle,
 * so that the driver recognises a pointer that it never returned, or whose object was destroyed,
 * without reading through it.
 */

enum handle_kind {
  HANDLE_CONTEXT,
  HANDLE_MODULE,
  HANDLE_LIBRARY,
  HANDLE_KERNEL,
  HANDLE_LINK,
  HANDLE_FUNCTION,
  HANDLE_STREAM,
  HANDLE_EVENT,
  HANDLE_GRAPH,
  HANDLE_GRAPH_EXEC,
  HANDLE_GRAPH_NODE,
  HANDLE_DEVICE_MEMORY,
  HANDLE_PINNED_MEMORY
};

struct handle {
  enum handle_kind kind;
  CUcontext owner; /* NULL: lives until it is destroyed itself */
  void (*destroy)(struct handle *object);
  struct handle *next;
};

/* `destroy` frees the object, which is no longer registered then. */
void handle_register(struct handle *object, enum handle_kind kind, CUcontext owner,
                     void (*destroy)(struct handle *object));
bool handle_is_live(const void *object, enum handle_kind kind);
void handle_destroy(struct handle *object);
void handle_destroy_all_of(CUcontext owner);
int handle_count(enum handle_kind kind);

/* The first object of that kind after `after`, or from the start if it is NULL. */
struct handle *handle_next(enum handle_kind kind, const struct handle *after);

/* streams.c: an operation is what a stream runs and a graph records. */

enum operation_kind { OPERATION_KERNEL, OPERATION_COPY, OPERATION_FILL, OPERATION_EVENT };

struct operation {
  enum operation_kind kind;
  struct operation *next;
  CUfunction function;
  struct host_kernel_dim3 grid, block;
  void *to;
  const void *from;
  bool to_device, from_device;
  size_t bytes;
  uint32_t word; /* of a fill */
  CUevent event;
  size_t data_bytes;
  _Alignas(16) unsigned char data[]; /* the kernel's parameters, or a snapshot of a copy's source */
};

struct operation_list { /* in order */
  struct operation *first;
  struct operation *last;
};

/* A zeroed operation with room for data; NULL if out of memory. */
struct operation *operation_create(enum operation_kind kind, size_t data_bytes);
struct operation *operation_clone(const struct operation *from);
void operation_append(struct operation_list *list, struct operation *op);
void operation_free_all(struct operation_list *list);

struct capture; /* of graphs.c */

struct CUstream_st {
  struct handle handle;
  unsigned int flags;
  struct operation_list pending;
  struct capture *capture; /* NULL unless the stream captures */
};

/*
 * The stream that a caller means, of the current context or another; NULL means the current
 * context's default stream. CUDA_ERROR_INVALID_HANDLE if it is not alive.
 */
CUresult stream_find(CUstream given, CUstream *stream);

/* Gives the operation to the stream, or to the graph that it captures; they own it, also on
 * failure. */
CUresult stream_enqueue(CUstream stream, struct operation *op);

/* Runs all pending operations. The context keeps a failure. */
void stream_flush(CUstream stream);

/* contexts.c */

enum { MAX_DEVICES = 16, MAX_DEVICE_NAME = 64 };

/* So few that the library's grids are smaller than the work. */
enum { MULTIPROCESSORS = 4, L2_CACHE_BYTES = 1 << 14 };

#define DEVICE_MEMORY_BYTES ((size_t)64 << 30)

struct device {
  int major, minor; /* compute capability */
  char name[MAX_DEVICE_NAME];
  CUcontext primary; /* NULL while nobody retains it */
  int primary_references;
  size_t allocated;
};

bool devices_are_initialised(void);

/* The version that cuDriverGetVersion reports: 12040 for CUDA 12.4. */
int devices_driver_version(void);

/* NULL if there is no such device. */
struct device *device_get(CUdevice ordinal);

struct CUctx_st {
  struct handle handle;
  unsigned long long id; /* unique: never reused */
  CUdevice device;
  bool primary;
  CUresult failure; /* of a kernel: every later call returns it */
  struct CUstream_st default_stream;
};

/* NULL if none is current. */
CUcontext context_current(void);

/* CUDA_SUCCESS if the current context is alive and has not failed. */
CUresult context_check_current(void);

/* Lets all streams of the context finish. */
CUresult context_synchronise(CUcontext context);

/* memory.c */

/* Whether the range lies within one live allocation of device memory. */
bool memory_is_device(const void *at, size_t bytes);

/* Whether the address is in live pinned host memory. */
bool memory_is_pinned(const void *at);

/* modules.c */

struct CUmod_st {
  struct handle handle;
  CUlibrary library; /* whose module in one context this is; NULL: none */
  unsigned char *image;
};

struct CUfunc_st {
  struct handle handle;
  CUmodule module;
  const struct host_kernel *kernel;
};

/* ptx.c */

/* The caller's buffer for the assembler's errors; NULL: none. */
struct jit_log {
  char *text;
  size_t size;
};

struct jit_log jit_log_of(unsigned int option_count, const CUjit_option *options,
                          void *const *values);

bool ptx_is_ptx(const char *text);

/*
 * Assembles for the current context's device. CUDA_ERROR_UNSUPPORTED_PTX_VERSION if the PTX is of a
 * newer CUDA than the driver; CUDA_ERROR_INVALID_PTX if its target is above the device, or the text
 * is not PTX.
 */
CUresult ptx_assemble(const char *ptx, struct tiny_cubin *cubin, const struct jit_log *log);

/* launch.c */

/* Checks a launch and copies its parameters into an operation for a stream or a graph. */
CUresult launch_prepare(const CUDA_KERNEL_NODE_PARAMS_v1 *launch, struct operation **out);

/* Runs the kernel of an operation on the host; also prints a failure on stderr. */
CUresult launch_execute(const struct operation *op);

/* graphs.c */

/*
 * CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED if a capture forbids unsafe calls to this thread; the
 * captures that forbid them are invalidated.
 */
CUresult capture_refuse_unsafe_call(void);

/* Takes the operation, also on failure. */
CUresult capture_record(struct capture *c, struct operation *op);

void capture_invalidate(struct capture *c);
void capture_discard(struct capture *c);

#endif
