/*
 * udm: unified decode metadata
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every decode step of a server with speculative decoding, each draft backend
 * needs seven int32 tensors: lengths, prefix sums and page tables. udm fills
 * them for all backends in one kernel launch, through the CUDA Driver API.
 *
 * A whole program (error handling left out):
 *
 *     udm_context *ctx = NULL;
 *     udm_create(NULL, &ctx);                 // once; slow work is here
 *
 *     udm_decode_args args = UDM_DECODE_ARGS_INIT;
 *     args.seq_lens = seq_lens;               // device memory, int32 [bs]
 *     args.req_pool_indices = indices;        // device memory, int32 [bs]
 *     args.req_to_token = req_to_token;       // device memory, int32
 *     args.req_to_token_stride = max_context;
 *     args.batch_size = bs;
 *     args.max_len = max_context;
 *     args.num_backends = 1;
 *     args.nsa_index_topk = 2048;
 *     args.real_page_size = 64;
 *     args.page_table_stride = max_context;
 *     args.real_page_table_stride = (max_context + 63) / 64;
 *     args.backends[0] = outputs;             // seven device pointers
 *     udm_decode_metadata_direct(ctx, &args, stream);   // every step
 *
 *     udm_destroy(ctx);
 *
 * Conventions that hold for every function here
 *
 * - A function returns UDM_OK or another udm_status. After any other status,
 *   udm_last_error() of the same thread says which argument or call failed
 *   and what to do about it. Nothing is printed.
 * - Output parameters are written on success only, except where stated;
 *   udm_create() sets its handle to NULL on failure.
 * - Strings passed in are read during the call and never kept. Strings that
 *   are returned belong to the library and are never freed by the caller.
 * - A structure that begins with struct_size must have it set to its own
 *   sizeof by the caller (the *_INIT macros do): a newer library then knows
 *   which fields an older caller has.
 * - Sizes ending in _stride are counted in elements, never in bytes.
 * - Functions that are not said to be safe during stream capture must not be
 *   called while any stream of the context is being captured.
 *
 * Environment (read with secure_getenv: ignored in set-uid processes; a value
 * given in udm_options always wins)
 *
 *     UDM_DRIVER_LIBRARY   the driver library, instead of libcuda.so.1
 *     UDM_NVRTC_LIBRARY    the NVRTC library; then no other is tried
 *     UDM_CACHE_DIR        the writable cubin cache
 *     UDM_CACHE_PATH       read-only cache layers, colon-separated
 *     UDM_CACHE_MAX_BYTES  size limit of the writable cache: 268435456, 256M, 1G
 *     UDM_CACHE_LOCK_SECONDS
 *                          how long to wait while another process compiles the
 *                          same kernel (60), before compiling it here too
 *     UDM_NO_COMPILE       any value but "" and "0": never compile
 *                          (UDM_OPTION_NO_COMPILE); "strict": use cached images
 *                          only (UDM_OPTION_CACHED_ONLY)
 */
#ifndef UDM_H
#define UDM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header. It is stated here and nowhere else. */
#define UDM_VERSION_MAJOR 0
#define UDM_VERSION_MINOR 1
#define UDM_VERSION_PATCH 0

#if defined(__GNUC__) || defined(__clang__)
#define UDM_API __attribute__((visibility("default")))
#else
#define UDM_API
#endif

/*
 * The three driver types that appear in this header, declared exactly as
 * cuda.h declares them, so that either header may come first and neither
 * needs the other.
 */
#if defined(_WIN64) || defined(__LP64__)
typedef unsigned long long CUdeviceptr;
#else
typedef unsigned int CUdeviceptr;
#endif
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;

/* ------------------------------------------------------------------------
 * Status, last error, version
 * --------------------------------------------------------------------- */

/*
 * Every status: name, value (pinned, never reused), text. The enum, the names
 * and the texts are all made from this table.
 */
#define UDM_STATUS_TABLE(X)                                                      \
  X(UDM_OK, 0, "done")                                                           \
  X(UDM_ERROR_INVALID_ARGUMENT, 1, "an argument breaks the function's contract") \
  X(UDM_ERROR_OUT_OF_MEMORY, 2, "out of host memory")                            \
  X(UDM_ERROR_NO_DRIVER, 3, "the CUDA driver library cannot be used")            \
  X(UDM_ERROR_NO_DEVICE, 4, "no such CUDA device")                               \
  X(UDM_ERROR_NO_CURRENT_CONTEXT, 5, "the calling thread has no CUDA context")   \
  X(UDM_ERROR_DRIVER, 6, "a CUDA driver call failed")                            \
  X(UDM_ERROR_NO_NVRTC, 7, "no usable NVRTC library was found")                  \
  X(UDM_ERROR_COMPILE, 8, "NVRTC could not compile the kernel")                  \
  X(UDM_ERROR_UNSUPPORTED_ARCH, 9, "no compiler here knows this architecture")   \
  X(UDM_ERROR_NO_IMAGE, 10, "no kernel image could be had for this device")      \
  X(UDM_ERROR_CACHE, 11, "the cubin cache cannot be used")                       \
  X(UDM_ERROR_NOT_FOUND, 12, "nothing at that index or name")                    \
  X(UDM_ERROR_CAPTURE, 13, "the driver does not do this during stream capture")

typedef enum udm_status {
#define UDM_STATUS_ENUMERATOR(name, value, text) name = value,
  UDM_STATUS_TABLE(UDM_STATUS_ENUMERATOR)
#undef UDM_STATUS_ENUMERATOR
  /* not a status: keeps the enum 32 bits wide as later versions add values */
  UDM_STATUS_FORCE_INT = 0x7fffffff
} udm_status;

/*
 * The name ("UDM_ERROR_NO_NVRTC") and the one-line text of a status. Any value
 * may be passed; one that is not a status gives "UDM_ERROR_UNKNOWN" and
 * "unknown status". Static storage, any thread, any time.
 */
UDM_API const char *udm_status_name(udm_status status);
UDM_API const char *udm_status_text(udm_status status);

/*
 * What went wrong in this thread's most recent udm call, when it did not return
 * UDM_OK: the argument or call that failed, the reason as its origin gives it
 * (errno, dlerror, the driver, NVRTC with its compile log) and the cure. Never
 * NULL; "" before the first failure. Ask before the thread's next udm call:
 * that one may overwrite the text even when it succeeds (a create that got over
 * some trouble). The text is the calling thread's own; long texts are cut at
 * 8 KiB.
 */
UDM_API const char *udm_last_error(void);

/*
 * The version of the library that is running, which may be newer than this
 * header: major * 10000 + minor * 100 + patch, and "major.minor.patch".
 */
UDM_API int32_t udm_version(void);
UDM_API const char *udm_version_string(void);

/* ------------------------------------------------------------------------
 * Options
 * --------------------------------------------------------------------- */

typedef enum udm_log_level {
  UDM_LOG_WARNING = 0, /* something is worse than it should be; work goes on */
  UDM_LOG_INFO = 1,    /* once per create: which image was used, what was compiled */
  UDM_LOG_DEBUG = 2    /* every candidate that was tried */
} udm_log_level;

/*
 * Receives one line without a newline, valid during the call. Called only from
 * inside functions that were given the options it stands in, on the thread
 * that called them, never from a launch. It must not call udm functions.
 */
typedef void (*udm_log_callback)(void *user_data, udm_log_level level, const char *message);

/*
 * Gives the library `bytes` of host memory, aligned for any type, or NULL; takes
 * them back. Called on the thread that called a udm function: allocate during
 * functions that were given the options it stands in, deallocate also during
 * udm_destroy() of a context that they created; never from a launch. They must
 * not call udm functions, and must work for as long as such a context lives.
 */
typedef void *(*udm_allocate_callback)(void *user_data, size_t bytes);
typedef void (*udm_deallocate_callback)(void *user_data, void *memory);

/* Values are pinned. */
typedef enum udm_library { UDM_LIBRARY_DRIVER = 0, UDM_LIBRARY_NVRTC = 1 } udm_library;

/*
 * For a host that holds libcuda or NVRTC already: the address of the entry point
 * of that exported name ("cuLaunchKernel", "cuMemAlloc_v2", "nvrtcVersion"), or
 * NULL where the host has none. A host that has "cuInit" is taken to have the
 * driver, one that has "nvrtcVersion" to have NVRTC: that library is then not
 * looked for or opened, whatever the options and the environment name. The
 * addresses must stay valid for as long as a context that was created with them.
 * Called during functions that were given the options it stands in, on the
 * thread that called them, never from a launch. It must not call udm functions.
 */
typedef void *(*udm_find_symbol_callback)(void *user_data, udm_library library, const char *name);

/*
 * Never compile: use what the caches and the library hold, or fail. NVRTC is
 * not even looked for. The PTX that the library carries may still serve: the
 * driver assembles it, in a fraction of a compile's time.
 */
#define UDM_OPTION_NO_COMPILE 0x1u

/*
 * Use cached images only: neither NVRTC nor the driver makes one. udm_create()
 * that succeeds so proves that the machine is fully prewarmed.
 */
#define UDM_OPTION_CACHED_ONLY 0x2u

/*
 * Options of every function that looks outside the process. NULL instead of a
 * pointer to options means UDM_OPTIONS_INIT. A NULL string, and an empty one,
 * means: the environment variable named beside it, then the default.
 */
typedef struct udm_options {
  size_t struct_size;
  uint32_t flags;             /* UDM_OPTION_*; UDM_NO_COMPILE adds to them */
  const char *driver_library; /* UDM_DRIVER_LIBRARY, then libcuda.so.1 */
  const char *nvrtc_library;  /* UDM_NVRTC_LIBRARY, then a search: docs/DEPLOYMENT.md */
  const char *cache_dir;      /* UDM_CACHE_DIR, $XDG_CACHE_HOME/udm, $HOME/.cache/udm,
                                 then .cache/udm in the home the user database names */
  const char *cache_path;     /* UDM_CACHE_PATH, then no read-only layers */
  udm_log_callback log;       /* NULL: no log */
  void *log_user_data;
  uint64_t cache_max_bytes;       /* of the writable cache; 0: UDM_CACHE_MAX_BYTES, then 256 MiB */
  udm_allocate_callback allocate; /* host memory; NULL: malloc and free, and deallocate is NULL */
  udm_deallocate_callback deallocate;
  void *allocator_user_data;
  udm_find_symbol_callback find_symbol; /* NULL: the libraries are opened */
  void *find_symbol_user_data;
} udm_options;

#define UDM_OPTIONS_INIT \
  { sizeof(udm_options), 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL }

/* ------------------------------------------------------------------------
 * Context
 * --------------------------------------------------------------------- */

/* A kernel loaded into one CUDA context. Immutable after udm_create(). */
typedef struct udm_context udm_context;

/*
 * Loads the kernel into the calling thread's current CUDA context.
 *
 * All slow work is here: open the driver library, find the device's compute
 * capability, get a kernel image that its driver takes, load it, resolve its
 * functions. The image is from the cache, else compiled by NVRTC, else
 * assembled by the driver of PTX of NVRTC, or of the PTX that the library
 * carries; what was made is cached. When the cache holds an image for exactly
 * the device's architecture, NVRTC is not even opened. docs/DEPLOYMENT.md has
 * the whole ladder. Of many processes and threads that start with a cold cache,
 * one makes the image and the others wait for its entry (docs/CACHE.md). A
 * compile that NVRTC refused is not tried again in this process.
 *
 * options   NULL, or options; not kept.
 * out       receives the handle; NULL on failure. The caller owns it and
 *           passes it to udm_destroy().
 *
 * The current CUDA context should outlive the handle; see udm_destroy(). No
 * primary context is retained. Any thread; concurrent calls are allowed, for any
 * number of devices and contexts. Allowed while a stream is being captured, by
 * this thread or another: nothing of it becomes part of the capture. Slow work in
 * the middle of a capture is better avoided all the same. No thread, no signal
 * handler and no exit handler is left behind. In a child made by fork(), launching and
 * preparing with the handles of the parent are refused: CUDA does not work there.
 *
 * Errors: INVALID_ARGUMENT, OUT_OF_MEMORY, NO_DRIVER, NO_DEVICE,
 * NO_CURRENT_CONTEXT, DRIVER (a driver call failed for a reason that is not the
 * image's: out of device memory, a context that has failed), CAPTURE (a stream
 * is being captured, and this driver, of before CUDA 10.1, loads nothing
 * meanwhile; the capture is invalid then), and NO_IMAGE (also for a GPU below
 * compute capability 7.0),
 * whose message gives the reason of every source that was tried (no NVRTC, an
 * architecture it does not know, the compile log, an image that the driver
 * refused, a cache folder that cannot be trusted).
 */
UDM_API udm_status udm_create(const udm_options *options, udm_context **out);

/*
 * Unloads the kernel and frees the handle. NULL is allowed. No launch of this
 * handle may be running on the host, pending on a stream, or recorded in a
 * graph that will be launched again. Any thread; the CUDA context of the
 * handle need not be current. Allowed during a stream capture that has no launch
 * of this handle. Where the CUDA context was destroyed first, the kernel went
 * with it, and only the handle is freed (a driver of before CUDA 12 cannot tell
 * when another context has its address by then); in a child made by fork(), too.
 * A launch with such a handle is an error.
 */
UDM_API void udm_destroy(udm_context *ctx);

/* Where a kernel image came from. Values are pinned. */
typedef enum udm_image_source {
  UDM_IMAGE_NONE = 0,
  UDM_IMAGE_CACHE = 1,           /* the writable cache */
  UDM_IMAGE_READ_ONLY_LAYER = 2, /* a layer of UDM_CACHE_PATH */
  UDM_IMAGE_NVRTC = 3,           /* compiled in this process */
  UDM_IMAGE_NVRTC_PTX = 4,       /* PTX of NVRTC, assembled by the driver */
  UDM_IMAGE_SHIPPED_PTX = 5      /* the PTX that the library carries, assembled by the driver */
} udm_image_source;

/*
 * "none", "cache", "read-only layer", "nvrtc", "nvrtc ptx", "shipped ptx"; any
 * value may be passed.
 */
UDM_API const char *udm_image_source_name(udm_image_source source);

typedef struct udm_context_info {
  size_t struct_size;
  int32_t device;      /* driver ordinal */
  int32_t device_arch; /* 10 * compute capability major + minor: 90, 103 */
  int32_t image_arch;  /* the architecture the loaded image was compiled for */
  udm_image_source image_source;
  size_t image_bytes;
  int32_t multiprocessor_count;
} udm_context_info;

#define UDM_CONTEXT_INFO_INIT \
  { sizeof(udm_context_info), 0, 0, 0, UDM_IMAGE_NONE, 0, 0 }

/*
 * Fills *info, whose struct_size the caller has set. Any thread, also during
 * stream capture. Errors: INVALID_ARGUMENT.
 */
UDM_API udm_status udm_get_context_info(const udm_context *ctx, udm_context_info *info);

/* ------------------------------------------------------------------------
 * The operation
 * --------------------------------------------------------------------- */

/*
 * The outputs of a backend: their order in udm_backend_outputs and the rows of a
 * pointer table (udm_decode_metadata_table()). Values are pinned.
 */
typedef enum udm_output {
  UDM_OUTPUT_CACHE_SEQLENS = 0,
  UDM_OUTPUT_CU_SEQLENS_K = 1,
  UDM_OUTPUT_PAGE_TABLE_1 = 2,
  UDM_OUTPUT_NSA_CACHE_SEQLENS = 3,
  UDM_OUTPUT_NSA_CU_SEQLENS_K = 4,
  UDM_OUTPUT_REAL_PAGE_TABLE = 5,
  UDM_OUTPUT_SEQLENS_EXPANDED = 6
} udm_output;

#define UDM_OUTPUTS_PER_BACKEND 7
#define UDM_MAX_BACKENDS 8
#define UDM_MAX_DIRECT_BACKENDS UDM_MAX_BACKENDS /* of the direct entry: all */

/*
 * The seven outputs of one backend, all int32, in the order of the contract.
 * len(i) is seq_lens[i], with negative values counted as 0 and values above
 * INT32_MAX as INT32_MAX; row(i) is the row req_pool_indices[i] of
 * req_to_token. Formulas: SGLang's NSA (DSA) attention backend, decode mode.
 */
typedef struct udm_backend_outputs {
  CUdeviceptr cache_seqlens;     /* [bs]       len(i) */
  CUdeviceptr cu_seqlens_k;      /* [bs + 1]   0, then the inclusive prefix sum of
                                               cache_seqlens, modulo 2^32 */
  CUdeviceptr page_table_1;      /* [bs, page_table_stride]  row(i)[j], j < extent(i).
                                               0 (null): not written */
  CUdeviceptr nsa_cache_seqlens; /* [bs]       min(len(i), nsa_index_topk) */
  CUdeviceptr nsa_cu_seqlens_k;  /* [bs + 1]   0, then the inclusive prefix sum of
                                               nsa_cache_seqlens, modulo 2^32 */
  CUdeviceptr real_page_table;   /* [bs, real_page_table_stride]
                                               row(i)[c * real_page_size] / real_page_size
                                               (C division),
                                               c < ceil(extent(i) / real_page_size).
                                               Null when real_page_size is 1 */
  CUdeviceptr seqlens_expanded;  /* [bs]       len(i) */
} udm_backend_outputs;

/* Which columns of the page tables are written. Values are pinned. */
typedef enum udm_extent {
  UDM_EXTENT_ROW = 0,      /* extent(i) = min(len(i), max_len): what attention reads */
  UDM_EXTENT_BATCH_MAX = 1 /* extent(i) = min(max of len over the batch, max_len): what
                              eager PyTorch code and the original kernels write */
} udm_extent;

typedef enum udm_int_type { UDM_INT32 = 0, UDM_INT64 = 1 } udm_int_type;

/*
 * The arguments of one decode step. Pointers are device addresses, except for
 * udm_decode_metadata_reference(), where they are host addresses. The
 * structure is read during the call and not kept; it may be reused and changed
 * between calls. What the pointers point at is read and written when the
 * kernel runs.
 *
 * What must hold
 * - every pointer is aligned to its element (4 bytes; 8 for int64 inputs);
 *   16-byte alignment is only faster;
 * - req_pool_indices[i] names a row of req_to_token for every i whose
 *   extent(i) is not 0 (it is not read through otherwise: padding rows of
 *   length 0 may hold anything under UDM_EXTENT_ROW);
 * - outputs overlap neither the inputs nor each other, except where frameworks
 *   alias them: cache_seqlens with seqlens_expanded, backends that share whole
 *   tensors of equal contents, and int32 seq_lens that is itself a backend's
 *   cache_seqlens (.to(int32) of an int32 tensor).
 *
 * Nothing outside the columns stated in udm_backend_outputs is written.
 * Offsets are computed in 64 bits. There is no limit on batch_size alone, but
 * batch_size rows of max_len columns may be 2^31 - 1 units of 128 columns at
 * most, each row begun counting as a unit (of 128 pages where page_table_stride
 * is 0); wide rows reach that with a page table of a terabyte. More is
 * UDM_ERROR_INVALID_ARGUMENT.
 */
typedef struct udm_decode_args {
  size_t struct_size;
  CUdeviceptr seq_lens;         /* [batch_size], tokens in the KV cache per request */
  CUdeviceptr req_pool_indices; /* [batch_size], row of req_to_token per request */
  CUdeviceptr req_to_token;     /* int32 [num_reqs, req_to_token_stride], KV slot of
                                   every token */
  udm_int_type seq_lens_type;
  udm_int_type req_pool_indices_type;
  int64_t req_to_token_stride;    /* >= max_len */
  int64_t page_table_stride;      /* >= max_len, unless no page_table_1 is written */
  int64_t real_page_table_stride; /* >= ceil(max_len / real_page_size), unless it is 1 */
  int32_t batch_size;             /* >= 0 */
  int32_t max_len;                /* >= 0: no page table gets more columns' worth of tokens */
  int32_t num_backends;           /* 1 to UDM_MAX_BACKENDS */
  int32_t nsa_index_topk;         /* >= 0 */
  int32_t real_page_size;         /* >= 1, tokens per page */
  udm_extent extent;
  udm_backend_outputs backends[UDM_MAX_BACKENDS]; /* the first num_backends are used;
                                                     not by the table entry */
} udm_decode_args;

#define UDM_DECODE_ARGS_INIT                                                        \
  {                                                                                 \
    sizeof(udm_decode_args), 0, 0, 0, UDM_INT32, UDM_INT32, 0, 0, 0, 0, 0, 0, 0, 1, \
        UDM_EXTENT_ROW, {                                                           \
      { 0, 0, 0, 0, 0, 0, 0 }                                                       \
    }                                                                               \
  }

/*
 * Enqueues one kernel on stream that fills the outputs of up to eight
 * backends, whose pointers travel as kernel arguments: no device table, no
 * copy. There are three kernels: for up to three backends (21 pointers) one of
 * batches of up to 256 rows and one of larger ones; for more backends (56
 * pointers) one of both. num_backends and batch_size choose.
 *
 * ctx      from udm_create(); its CUDA context must be current.
 * args     see udm_decode_args. With batch_size 0 only the leading 0 of both
 *          prefix sums is written, and only those two pointers are looked at.
 * stream   a stream of that context, or NULL for its default stream.
 *
 * Any thread, any number at once; takes no lock, allocates nothing,
 * synchronises nothing. Legal during stream capture: the grid depends on
 * args alone, never on what the tensors hold, so a recorded launch is right on
 * every replay, with whatever lengths the tensors hold then.
 *
 * Errors: INVALID_ARGUMENT, with the argument's name; DRIVER, when
 * cuLaunchKernel fails. Nothing is launched then.
 */
UDM_API udm_status udm_decode_metadata_direct(udm_context *ctx, const udm_decode_args *args,
                                              CUstream stream);

/*
 * The same for up to eight backends whose pointers already lie in device
 * memory, as the original's unified_decode_metadata_cuda takes them.
 *
 * backend_pointers         device address (8-byte aligned) of an int64 array
 *                          [7, num_backends]: row = output number, in the order of
 *                          udm_backend_outputs; column = backend. It is read when the
 *                          kernel runs, so it must stay until then, and for as long as
 *                          a graph that recorded the launch is used. A null page table
 *                          in it is not written; any other null is a fault of the caller.
 * backend_pointers_stride  elements from row to row, >= num_backends.
 *
 * args->backends is not used; page_table_stride and real_page_table_stride are
 * checked only when they are not 0 (0: no backend has that table). Everything
 * else is as for udm_decode_metadata_direct().
 */
UDM_API udm_status udm_decode_metadata_table(udm_context *ctx, const udm_decode_args *args,
                                             CUdeviceptr backend_pointers,
                                             int64_t backend_pointers_stride, CUstream stream);

/*
 * A launch that is described instead of made: for a kernel node that the caller
 * puts into a CUDA graph, or for the caller's own cuLaunchKernelEx. Set
 * struct_size (UDM_KERNEL_LAUNCH_INIT does) and let udm_prepare_direct() or
 * udm_prepare_table() fill the rest, again for every change of the arguments.
 *
 *     udm_kernel_launch launch = UDM_KERNEL_LAUNCH_INIT;
 *     udm_prepare_direct(ctx, &args, &launch);
 *     CUDA_KERNEL_NODE_PARAMS node = {0};
 *     node.func = (CUfunction)launch.function;
 *     node.gridDimX = launch.grid_x;    // likewise Y and Z
 *     node.blockDimX = launch.block_x;  // likewise Y and Z
 *     node.sharedMemBytes = launch.shared_bytes;
 *     node.kernelParams = launch.parameters;
 *     cuGraphAddKernelNode(&handle, graph, NULL, 0, &node);
 *     // other arguments later: prepare again, fill node again, and
 *     cuGraphExecKernelNodeSetParams(exec, handle, &node);
 *
 * parameters points into the structure itself, so the structure must not be
 * moved or copied between the two calls. Which function it is depends on the
 * entry, on num_backends (up to three, or more) and on batch_size (up to 256, or
 * more). cuGraphExecKernelNodeSetParams() may change a node's function from CUDA
 * 11.2 on (the driver's version counts), as long as both launches were prepared
 * with handles of one CUDA context; an older driver refuses, and the graph is
 * instantiated anew. The driver copies the parameters during its call; the
 * structure may be reused or discarded afterwards. The other way to record a
 * launch is stream capture, with nothing to prepare.
 */
typedef struct udm_kernel_launch {
  size_t struct_size;
  void *function; /* a CUfunction, valid until udm_destroy() */
  uint32_t grid_x, grid_y, grid_z;
  uint32_t block_x, block_y, block_z;
  uint32_t shared_bytes;
  void **parameters; /* for kernelParams */

  /* what parameters points to: not for the caller; aligned like the pointer before it */
  unsigned char storage[2048];
} udm_kernel_launch;

#define UDM_KERNEL_LAUNCH_INIT                                        \
  {                                                                   \
    sizeof(udm_kernel_launch), NULL, 0, 0, 0, 0, 0, 0, 0, NULL, { 0 } \
  }

/*
 * Checks the arguments as udm_decode_metadata_direct() does, and describes its
 * launch. Nothing is launched, no driver call is made. Any thread, also during
 * stream capture. The node stays right for whatever lengths the tensors hold
 * when it runs. Errors: INVALID_ARGUMENT; *kernel_launch is unchanged then.
 */
UDM_API udm_status udm_prepare_direct(udm_context *ctx, const udm_decode_args *args,
                                      udm_kernel_launch *kernel_launch);

/* The same for udm_decode_metadata_table(), whose rules hold for backend_pointers. */
UDM_API udm_status udm_prepare_table(udm_context *ctx, const udm_decode_args *args,
                                     CUdeviceptr backend_pointers, int64_t backend_pointers_stride,
                                     udm_kernel_launch *kernel_launch);

/*
 * The same operation in plain C over host memory, for up to eight backends of
 * args->backends: the oracle of the tests and the CPU device of the tools. It
 * finishes before it returns. Any thread. Errors: INVALID_ARGUMENT, as for
 * udm_decode_metadata_direct().
 */
UDM_API udm_status udm_decode_metadata_reference(const udm_decode_args *args);

/* ------------------------------------------------------------------------
 * Looking at the machine: driver, devices, NVRTC, image
 * --------------------------------------------------------------------- */

#define UDM_PATH_SIZE 4096

typedef struct udm_driver_info {
  size_t struct_size;
  int32_t version;          /* cuDriverGetVersion: 13000 for CUDA 13.0 */
  int32_t device_count;     /* 0 when cuInit finds no device */
  char path[UDM_PATH_SIZE]; /* the file that was opened; with find_symbol: that the
                               host's driver is in, "" when that is not known */
} udm_driver_info;

/*
 * Opens the driver library and asks it. It calls cuInit, creates no context.
 * Any thread. Errors: INVALID_ARGUMENT, NO_DRIVER, DRIVER.
 */
UDM_API udm_status udm_query_driver(const udm_options *options, udm_driver_info *info);

typedef struct udm_device_info {
  size_t struct_size;
  int32_t arch; /* 10 * compute capability major + minor */
  int32_t multiprocessor_count;
  uint64_t memory_bytes;
  char name[256];
} udm_device_info;

/*
 * Describes device ordinal, 0 <= ordinal < device_count. Any thread.
 * Errors: INVALID_ARGUMENT, NO_DRIVER, NO_DEVICE, DRIVER.
 */
UDM_API udm_status udm_query_device(const udm_options *options, int32_t ordinal,
                                    udm_device_info *info);

/*
 * The address of an entry point of the very driver library that udm uses, by
 * its exported name ("cuMemAlloc_v2"), for hosts that do not link libcuda.
 * It stays valid until the process ends; with find_symbol it is the host's own,
 * for as long as the host keeps it. Any thread.
 * Errors: INVALID_ARGUMENT, NO_DRIVER, NOT_FOUND.
 */
UDM_API udm_status udm_driver_symbol(const udm_options *options, const char *name, void **symbol);

#define UDM_MAX_ARCHS 64

typedef struct udm_nvrtc_info {
  size_t struct_size;
  int32_t version_major;
  int32_t version_minor;
  int32_t arch_count;
  int32_t archs[UDM_MAX_ARCHS]; /* what nvrtcGetSupportedArchs says, ascending: 75, 80, ... */
  char path[UDM_PATH_SIZE];
} udm_nvrtc_info;

/*
 * Finds and opens NVRTC as a compile would, and asks it what it supports.
 * Any thread. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY, NO_NVRTC.
 */
UDM_API udm_status udm_query_nvrtc(const udm_options *options, udm_nvrtc_info *info);

/* One place of the search for NVRTC at which there is something. */
typedef struct udm_nvrtc_candidate {
  size_t struct_size;
  const char *library;         /* what was opened: a path, or a name that the loader resolves */
  const char *reason;          /* why it cannot be used; "" when it can */
  const udm_nvrtc_info *nvrtc; /* what it is; NULL when it cannot be used */
} udm_nvrtc_candidate;

/* Receives one candidate, valid during the call. Returns 0 to go on, anything else to stop. */
typedef int (*udm_nvrtc_callback)(void *user_data, const udm_nvrtc_candidate *candidate);

/*
 * Goes through the whole search for NVRTC, in its order: the first candidate
 * that can be used is the one that udm_query_nvrtc() tells and a compile takes.
 * A library that is met again under another name is reported once. Each is
 * opened, and stays mapped until the process ends. Any thread.
 * Errors: INVALID_ARGUMENT. That there is none at all is no error.
 */
UDM_API udm_status udm_nvrtc_enumerate(const udm_options *options, udm_nvrtc_callback callback,
                                       void *user_data);

typedef struct udm_image_plan {
  size_t struct_size;
  udm_image_source source;
  int32_t image_arch;
  char detail[UDM_PATH_SIZE]; /* the cache entry, the NVRTC library, "the PTX that udm carries" */
  char skipped[8192];         /* a line for each better source: "- name: why it does not serve";
                                 "" when there is none */
} udm_image_plan;

/*
 * Says which source would serve a device of architecture arch (90, 103),
 * without compiling or loading anything: whether the driver takes the image is
 * not asked. Any thread.
 * Errors: INVALID_ARGUMENT, OUT_OF_MEMORY, and NO_IMAGE with the reason of every source.
 */
UDM_API udm_status udm_plan_image(const udm_options *options, int32_t arch, udm_image_plan *plan);

/* ------------------------------------------------------------------------
 * Prewarm and cache: no GPU and no driver needed
 * --------------------------------------------------------------------- */

/* Compile even when a good entry is there. */
#define UDM_PREWARM_FORCE 0x1u

typedef struct udm_prewarm_result {
  size_t struct_size;
  int32_t compiled;  /* 1: compiled now; 0: a good entry was there */
  double compile_ms; /* wall time in NVRTC */
  size_t bytes;      /* of the cubin */
  char path[UDM_PATH_SIZE];
} udm_prewarm_result;

/*
 * Makes sure that the writable cache holds a cubin for architecture arch, 70 or
 * above. udm_query_nvrtc() says which ones there are; another NVRTC that
 * udm_nvrtc_enumerate() tells can be named in the options. Any thread; calls for different
 * architectures may run at once. result may be NULL.
 * Errors: INVALID_ARGUMENT (also where compiling is forbidden), OUT_OF_MEMORY, NO_NVRTC,
 * UNSUPPORTED_ARCH, COMPILE, and CACHE when the entry could not be written.
 */
UDM_API udm_status udm_prewarm(const udm_options *options, int32_t arch, uint32_t flags,
                               udm_prewarm_result *result);

typedef struct udm_cache_layer_info {
  size_t struct_size;
  int32_t writable;         /* 1 for layer 0, 0 for the read-only layers */
  int32_t usable;           /* 0: reason says why */
  char path[UDM_PATH_SIZE]; /* "" when no folder could be determined */
  char reason[256];         /* "" when usable */
  uint64_t max_bytes;       /* the size limit of the writable one; 0: a read-only one */
} udm_cache_layer_info;

/*
 * Describes one layer of the cache: 0 is the writable one, 1 and up are the
 * read-only ones in the order in which they are searched. Creates nothing: a
 * writable folder that does not exist yet but can be made counts as usable.
 * Any thread. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY, NOT_FOUND past the last layer.
 */
UDM_API udm_status udm_query_cache_layer(const udm_options *options, int32_t layer,
                                         udm_cache_layer_info *info);

/* Values are pinned. */
typedef enum udm_cache_entry_state {
  UDM_CACHE_ENTRY_OK = 0,    /* whole, and of this library's kernel */
  UDM_CACHE_ENTRY_STALE = 1, /* whole, but of another kernel source or other options:
                                never used by this library */
  UDM_CACHE_ENTRY_BAD = 2    /* damaged or foreign: never used by any */
} udm_cache_entry_state;

/* "ok", "stale", "bad"; any value may be passed. */
UDM_API const char *udm_cache_entry_state_name(udm_cache_entry_state state);

typedef struct udm_cache_entry_info {
  size_t struct_size;
  int32_t layer;
  int32_t arch; /* from the entry; from the file name when bad; 0 when neither tells */
  udm_cache_entry_state state;
  uint64_t bytes; /* of the file */
  const char *path;
  const char *reason;   /* why it is not ok; "" when it is */
  const char *producer; /* the compiler that made it; "" when bad */
  int64_t last_used;    /* seconds since 1970, to about a minute; 0: not known */
  const void *contents; /* the `bytes` of the file; NULL when they could not be read */
} udm_cache_entry_info;

/* Receives one entry, valid during the call. Returns 0 to go on, anything else to stop. */
typedef int (*udm_cache_entry_callback)(void *user_data, const udm_cache_entry_info *entry);

/*
 * Reads and checks every entry of every usable layer, in the order of layers,
 * then of names. A cache folder that does not exist has no entries. Looking
 * does not count as use. Any thread; other processes may use the cache
 * meanwhile.
 * Errors: INVALID_ARGUMENT, OUT_OF_MEMORY, and CACHE when a folder cannot be
 * read or is not trusted; the entries of the other layers are reported all the
 * same.
 */
UDM_API udm_status udm_cache_enumerate(const udm_options *options,
                                       udm_cache_entry_callback callback, void *user_data);

/* Say what would be removed, and remove nothing. */
#define UDM_CACHE_PRUNE_DRY_RUN 0x1u
/* Remove every entry. */
#define UDM_CACHE_PRUNE_ALL 0x2u

/* Which entries of the writable cache udm_cache_prune() removes. */
typedef struct udm_cache_prune_options {
  size_t struct_size;
  uint32_t flags;             /* UDM_CACHE_PRUNE_* */
  int32_t keep_arch_count;    /* 0: whatever the architecture */
  const int32_t *keep_archs;  /* [keep_arch_count]: entries for others (90, 103) are removed */
  int64_t older_than_seconds; /* entries last used longer ago are removed; negative: none */
  uint64_t max_bytes;         /* then the least recently used, until the rest is no larger;
                                 UINT64_MAX: the limit of udm_options */
} udm_cache_prune_options;

#define UDM_CACHE_PRUNE_OPTIONS_INIT \
  { sizeof(udm_cache_prune_options), 0, 0, NULL, -1, UINT64_MAX }

/* One file that udm_cache_prune() removed, or would remove, or had to leave. */
typedef struct udm_cache_removal {
  size_t struct_size;
  int32_t arch;   /* 0: not known */
  int32_t in_use; /* 1: another process is reading or writing it just now, so it stays */
  uint64_t bytes;
  const char *path;
  const char *reason; /* the rule that hit it */
} udm_cache_removal;

/* Receives one removal, valid during the call. Returns 0 to go on, anything else to stop. */
typedef int (*udm_cache_removal_callback)(void *user_data, const udm_cache_removal *removal);

typedef struct udm_cache_prune_result {
  size_t struct_size;
  int32_t removed; /* files; with UDM_CACHE_PRUNE_DRY_RUN those that would be */
  int32_t kept;
  uint64_t removed_bytes;
  uint64_t kept_bytes;
} udm_cache_prune_result;

/*
 * Removes from the writable cache: entries that are damaged or foreign, files
 * that a process left behind when it was killed, and what the rules name. An
 * entry that is being read or written stays. Files that are not of the cache
 * are not touched.
 *
 * rules     NULL: only the size limit of options.
 * callback  NULL, or receives each removal, in the order of the reasons, least
 *           recently used first.
 * result    NULL, or receives the sums.
 *
 * Any thread; other processes may use the cache meanwhile.
 * Errors: INVALID_ARGUMENT, OUT_OF_MEMORY, and CACHE when the folder cannot be
 * read or is not trusted or a file could not be removed (the others are).
 */
UDM_API udm_status udm_cache_prune(const udm_options *options, const udm_cache_prune_options *rules,
                                   udm_cache_removal_callback callback, void *user_data,
                                   udm_cache_prune_result *result);

typedef struct udm_cache_import_result {
  size_t struct_size;
  int32_t imported; /* 0: the very same entry was there */
  int32_t arch;
  char path[UDM_PATH_SIZE];
} udm_cache_import_result;

/*
 * Puts an entry, as udm_cache_enumerate() gave its contents on this or another
 * machine, into the writable cache. It is checked byte by byte (sizes,
 * checksum, ELF, the architecture of its key), and its name is made from what
 * it holds, never taken from outside. A checksum is no signature: import only
 * what comes from somebody who may run code here.
 *
 * contents  size bytes; read during the call. result may be NULL.
 *
 * Any thread. Errors: INVALID_ARGUMENT, also for contents that are no whole
 * entry, with the reason; OUT_OF_MEMORY; CACHE when it could not be written.
 */
UDM_API udm_status udm_cache_import(const udm_options *options, const void *contents, size_t size,
                                    udm_cache_import_result *result);

/*
 * What the cache did in this process so far, over all options: a name and a
 * text for each counter. A look-up that finds nothing counts one miss, with
 * the reason of the best candidate.
 */
#define UDM_CACHE_COUNTER_TABLE(X)                                                    \
  X(hits_writable, "look-ups that the writable cache served")                         \
  X(hits_read_only, "look-ups that a read-only layer served")                         \
  X(misses_no_entry, "look-ups that found no entry")                                  \
  X(misses_damaged, "look-ups that found only damaged or foreign entries")            \
  X(misses_wrong_arch, "look-ups whose entry held an image for another architecture") \
  X(misses_refused, "look-ups whose image the driver refused")                        \
  X(compiles, "kernels compiled")                                                     \
  X(compile_failures, "compiles that failed")                                         \
  X(remembered_failures, "compiles not tried because the same one had failed before") \
  X(publishes, "entries written")                                                     \
  X(publish_failures, "entries that could not be written")                            \
  X(repairs, "damaged or refused entries removed or replaced")                        \
  X(evictions, "entries removed because of the size limit")                           \
  X(leftovers_removed, "files of killed processes removed")                           \
  X(lock_waits, "times that another process or thread was compiling the same kernel") \
  X(lock_timeouts, "waits for it that were given up")                                 \
  X(lock_failures, "compiles without a lock, because none could be had")

typedef struct udm_cache_counters {
  size_t struct_size;
#define UDM_CACHE_COUNTER_FIELD(name, text) uint64_t name;
  UDM_CACHE_COUNTER_TABLE(UDM_CACHE_COUNTER_FIELD)
#undef UDM_CACHE_COUNTER_FIELD
} udm_cache_counters;

/*
 * Fills *counters, whose struct_size the caller has set. Any thread, also during
 * stream capture. Errors: INVALID_ARGUMENT.
 */
UDM_API udm_status udm_get_cache_counters(udm_cache_counters *counters);

#ifdef __cplusplus
}
#endif

#endif /* UDM_H */
