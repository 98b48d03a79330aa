/**
 * @file
 * udm: unified decode metadata
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * A server with speculative decoding repeats three phases: draft decode, target
 * verify and draft extend. In each, every attention backend needs int32 tensors:
 * lengths, prefix sums, page tables and schedules. udm fills those of a phase
 * for all backends in one kernel launch, through the CUDA Driver API. The
 * formulas are those of SGLang's DSA (NSA) attention backend, and DeepGEMM's for
 * the schedule.
 *
 * @par Tutorial
 * Create one context per CUDA context, at startup. All slow work happens here:
 *
 *     udm_context *ctx = NULL;
 *     if (udm_create(NULL, &ctx) != UDM_OK) {
 *       fprintf(stderr, "%s\n", udm_last_error());
 *       return 1;
 *     }
 *
 * Fill the arguments. Start from the initializer; it sets struct_size:
 *
 *     udm_decode_args args = UDM_DECODE_ARGS_INIT;
 *     args.seq_lens = seq_lens;               // device memory, int32 [bs]
 *     args.req_pool_indices = indices;        // device memory, int32 [bs]
 *     args.req_to_token = req_to_token;       // device memory, int32
 *     args.req_to_token_stride = max_context; // elements, not bytes
 *     args.batch_size = bs;
 *     args.max_len = max_context;
 *     args.num_backends = 1;
 *     args.nsa_index_topk = 2048;
 *     args.real_page_size = 64;
 *     args.page_table_stride = max_context;
 *     args.real_page_table_stride = (max_context + 63) / 64;
 *     args.backends[0] = outputs;             // seven device pointers
 *
 * Launch once per step. Change the arguments between steps as needed:
 *
 *     if (udm_decode_metadata_direct(ctx, &args, stream) != UDM_OK) {
 *       fprintf(stderr, "%s\n", udm_last_error());
 *     }
 *
 * For the other phases, name the mode and what it needs; udm_mode has the
 * formulas. A verify step of 4 tokens per request, with the schedule of
 * DeepGEMM's paged MQA logits:
 *
 *     args.mode = UDM_MODE_TARGET_VERIFY;
 *     args.tokens_per_request = 4;
 *     args.extra[0].paged_mqa_schedule = schedule; // device memory, [num_sms + 1, 2]
 *     args.num_sms = 132;
 *     args.schedule_variant = UDM_SCHEDULE_SM90;
 *
 * Destroy the context when no launch is pending:
 *
 *     udm_destroy(ctx);
 *
 * To record the step in a CUDA graph, launch while the stream is being
 * captured, or describe the launch with udm_prepare_direct() and add the
 * kernel node yourself. A recorded launch reads the lengths on the device, so
 * it stays correct if they change before a replay.
 *
 * @par Rules that hold for every function
 * - A function returns UDM_OK or another udm_status. If it fails,
 *   udm_last_error() on the same thread names the argument or call that failed
 *   and says what to do. The library prints nothing.
 * - Every function that takes options returns UDM_ERROR_INVALID_ARGUMENT if
 *   they are malformed: a wrong struct_size, an unknown flag, or only one of
 *   allocate and deallocate.
 * - Output parameters are written only on success, unless the function says
 *   otherwise.
 * - The library reads strings and structures during the call and does not keep
 *   them. Strings that a function returns belong to the library; do not free
 *   them.
 * - If a structure begins with struct_size, set it to the sizeof of the
 *   structure before every call; the _INIT macros do. The library then knows
 *   which fields the caller has, and structures can grow at their end.
 * - A callback returns. It must not throw an exception, call longjmp() or end
 *   its thread: the memory and the descriptors of the call would be lost. No
 *   lock between processes is held while a log or removal callback runs.
 * - Names that end in _stride count elements, never bytes.
 * - An architecture is 10 * major + minor of the compute capability: 90, 103.
 * - Do not call a function while a stream of the CUDA context is being
 *   captured, unless the function allows it.
 *
 * @par Environment
 * udm reads the environment with secure_getenv(), so set-uid processes ignore
 * it. A value in udm_options takes precedence; UDM_NO_COMPILE adds to the flags.
 *
 *     UDM_DRIVER_LIBRARY      driver library, instead of libcuda.so.1
 *     UDM_NVRTC_LIBRARY       NVRTC library; udm tries no other
 *     UDM_CACHE_DIR           folder of the writable cubin cache
 *     UDM_CACHE_PATH          read-only cache folders, separated by colons
 *     UDM_CACHE_MAX_BYTES     size limit of the writable cache: 268435456,
 *                             256M, 1G (default 256M)
 *     UDM_CACHE_LOCK_SECONDS  how long to wait for another process that
 *                             compiles the same kernel, before compiling it
 *                             here too: 0 to 86400 (default 60)
 *     UDM_NO_COMPILE          0: compile if need be (the default); 1: never
 *                             compile (UDM_OPTION_NO_COMPILE); strict: use
 *                             cached images only (UDM_OPTION_CACHED_ONLY)
 *
 * An empty value counts as not set. For a value that makes no sense, the log has
 * one warning per process; udm then takes the default, but for UDM_NO_COMPILE
 * strict, which is the safest.
 */
#ifndef UDM_H
#define UDM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Major version of this header. The version is stated here and nowhere else. */
#define UDM_VERSION_MAJOR 0
/** Minor version of this header. */
#define UDM_VERSION_MINOR 1
/** Patch version of this header. */
#define UDM_VERSION_PATCH 0

/** Marks a function that the shared library exports. */
#if defined(__GNUC__) || defined(__clang__)
#define UDM_API __attribute__((visibility("default")))
#else
#define UDM_API
#endif

/*
 * The three driver types that appear in this header, declared exactly as cuda.h
 * declares them: either header may come first, and neither needs the other.
 */
#if defined(_WIN64) || defined(__LP64__)
/** Address in device memory, as in cuda.h. */
typedef unsigned long long CUdeviceptr;
#else
typedef unsigned int CUdeviceptr;
#endif
/** CUDA context, as in cuda.h. */
typedef struct CUctx_st *CUcontext;
/** CUDA stream, as in cuda.h. */
typedef struct CUstream_st *CUstream;

/* ------------------------------------------------------------------------
 * Status, last error, version
 * --------------------------------------------------------------------- */

/**
 * Every status: name, value, text. Values are pinned and never reused. The
 * enum, the names and the texts are generated from this table.
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
  X(UDM_ERROR_NO_IMAGE, 10, "no usable kernel image for this device")            \
  X(UDM_ERROR_CACHE, 11, "the cubin cache cannot be used")                       \
  X(UDM_ERROR_NOT_FOUND, 12, "nothing at that index or name")                    \
  X(UDM_ERROR_CAPTURE, 13, "the driver does not do this during stream capture")  \
  X(UDM_ERROR_CANCELLED, 14, "the host's callback asked to stop")

/** Result of a call; see UDM_STATUS_TABLE. */
typedef enum udm_status {
#define UDM_STATUS_ENUMERATOR(name, value, text) name = value,
  UDM_STATUS_TABLE(UDM_STATUS_ENUMERATOR)
#undef UDM_STATUS_ENUMERATOR
  /** Not a status: keeps the enum 32 bits wide when later versions add values. */
  UDM_STATUS_FORCE_INT = 0x7fffffff
} udm_status;

/**
 * Returns the name of a status, such as "UDM_ERROR_NO_NVRTC".
 *
 * @param status  Any value.
 * @return The name in static storage; "UDM_ERROR_UNKNOWN" if the value is not a
 *   status.
 * @note Any thread. Allowed during stream capture.
 */
UDM_API const char *udm_status_name(udm_status status);

/**
 * Returns the one-line text of a status.
 *
 * @param status  Any value.
 * @return The text in static storage; "unknown status" if the value is not a
 *   status.
 * @note Any thread. Allowed during stream capture.
 */
UDM_API const char *udm_status_text(udm_status status);

/**
 * Returns the message of the most recent udm call that failed on this thread.
 *
 * The message names the argument or call that failed, gives the reason in the
 * words of its origin (errno, dlerror, the driver, NVRTC with its compile log)
 * and says what to do. A successful call leaves it as it was.
 *
 * @return Never NULL; "" before the first failure on this thread. The text
 *   belongs to the thread and changes with its next failing call. Texts longer
 *   than 8 KiB are cut.
 * @note Any thread. Allowed during stream capture.
 */
UDM_API const char *udm_last_error(void);

/**
 * Returns the version of the running library, which may be newer than this
 * header.
 *
 * @return major * 10000 + minor * 100 + patch.
 * @note Any thread. Allowed during stream capture.
 */
UDM_API int32_t udm_version(void);

/**
 * Returns the version of the running library as text.
 *
 * @return "major.minor.patch" in static storage.
 * @note Any thread. Allowed during stream capture.
 */
UDM_API const char *udm_version_string(void);

/* ------------------------------------------------------------------------
 * Options
 * --------------------------------------------------------------------- */

/** Importance of a log line. */
typedef enum udm_log_level {
  UDM_LOG_WARNING = 0, /**< Something is worse than it should be; work continues. */
  UDM_LOG_INFO = 1,    /**< Per create: the image that was used, what was compiled. */
  UDM_LOG_DEBUG = 2    /**< Every candidate that was tried. */
} udm_log_level;

/**
 * Receives one log line.
 *
 * The library calls it only inside a function that was given the options, on
 * the thread that called the function, and never from a launch. It must not
 * call udm functions. Lines about work under a lock of the cache, such as a
 * compile, come once the lock is dropped.
 *
 * @param user_data  log_user_data of the options.
 * @param level      Importance of the line.
 * @param message    The line, without a newline; valid during the call.
 */
typedef void (*udm_log_callback)(void *user_data, udm_log_level level, const char *message);

/**
 * Allocates host memory for the library.
 *
 * The library calls it only inside a function that was given the options, on
 * the thread that called the function, and never from a launch. It must not
 * call udm functions.
 *
 * @param user_data  allocator_user_data of the options.
 * @param bytes      Size in bytes.
 * @return Memory aligned for any type, or NULL if there is none.
 */
typedef void *(*udm_allocate_callback)(void *user_data, size_t bytes);

/**
 * Takes back memory that the allocate callback returned.
 *
 * The library calls it as it calls the allocate callback, and also inside
 * udm_destroy() of a context that was created with the options. So it must
 * work for as long as such a context lives. It must not call udm functions.
 *
 * @param user_data  allocator_user_data of the options.
 * @param memory     What the allocate callback returned; never NULL.
 */
typedef void (*udm_deallocate_callback)(void *user_data, void *memory);

/** A library whose functions the host can provide. Values are pinned. */
typedef enum udm_library {
  UDM_LIBRARY_DRIVER = 0, /**< The CUDA driver. */
  UDM_LIBRARY_NVRTC = 1   /**< NVRTC. */
} udm_library;

/**
 * Finds a function of a library that the host has already loaded.
 *
 * If it finds "cuInit", the host provides the driver; if it finds
 * "nvrtcVersion", the host provides NVRTC. The library does not search for or
 * open a library that the host provides, whatever the options and the
 * environment name. The addresses must stay valid for as long as a context that
 * was created with them.
 *
 * The library calls it only inside a function that was given the options, on
 * the thread that called the function, and never from a launch. It must not
 * call udm functions.
 *
 * @param user_data  find_symbol_user_data of the options.
 * @param library    The library that exports the function.
 * @param name       Exported name: "cuLaunchKernel", "cuMemAlloc_v2".
 * @return The address, or NULL if the host does not have the function.
 */
typedef void *(*udm_find_symbol_callback)(void *user_data, udm_library library, const char *name);

/** What a call is doing while it asks whether to stop. Values are pinned. */
typedef enum udm_activity {
  UDM_ACTIVITY_WAITING = 0,  /**< Waiting for another process or thread that builds this image. */
  UDM_ACTIVITY_COMPILING = 1 /**< Compiling, or about to. */
} udm_activity;

/**
 * Says whether the call should stop, for example because of Ctrl-C or SIGTERM.
 *
 * udm_create() and udm_prewarm() ask at least ten times per second while they
 * wait for another process or thread, and once before each compile. While NVRTC
 * compiles, it decides when to ask: with udm's kernel, at least every 0.7
 * seconds. An NVRTC without nvrtcSetFlowCallback (12.9 has it, 11.8 does not)
 * does not ask: a compile that it has begun, some seconds long, ends first. Nor
 * does the driver ask while it assembles PTX.
 *
 * After a stop, the call returns UDM_ERROR_CANCELLED and leaves nothing behind;
 * it does not ask again. The next call starts anew.
 *
 * The library calls it only inside a function that was given the options, on
 * the thread that called the function, and never from a launch. It must not
 * call udm functions. A lock of the cache may be held meanwhile.
 *
 * @param user_data  should_stop_user_data of the options.
 * @param activity   What the call is doing.
 * @return 0 to continue, anything else to stop.
 */
typedef int (*udm_stop_callback)(void *user_data, udm_activity activity);

/**
 * Flag of udm_options: never compile. udm does not even search for NVRTC. The
 * driver may still assemble the PTX that the library carries, which is much
 * faster than a compile.
 */
#define UDM_OPTION_NO_COMPILE 0x1u

/**
 * Flag of udm_options: use cached images only. Neither NVRTC nor the driver
 * builds one, so a successful udm_create() proves that the cache is prewarmed.
 */
#define UDM_OPTION_CACHED_ONLY 0x2u

/**
 * Options of every function that looks outside the process.
 *
 * A NULL pointer to options means UDM_OPTIONS_INIT. If a string is NULL or
 * empty, the environment variable named with it applies, then the default. The
 * caller owns all memory; the library does not keep it.
 */
typedef struct udm_options {
  size_t struct_size;             /**< sizeof(udm_options). */
  uint32_t flags;                 /**< UDM_OPTION_*; default 0. UDM_NO_COMPILE adds to them. */
  const char *driver_library;     /**< Name or path; UDM_DRIVER_LIBRARY, then libcuda.so.1. */
  const char *nvrtc_library;      /**< Name or path; UDM_NVRTC_LIBRARY, then a search
                                       (docs/DEPLOYMENT.md). */
  const char *cache_dir;          /**< Folder of the writable cache; UDM_CACHE_DIR, then
                                       $XDG_CACHE_HOME/udm, then $HOME/.cache/udm, then .cache/udm in
                                       the home folder that the user database names. */
  const char *cache_path;         /**< Read-only cache folders, separated by colons; UDM_CACHE_PATH,
                                       and after it the cubins that are installed with the library
                                       (docs/CACHE.md). */
  udm_log_callback log;           /**< Receives log lines; default NULL: no log. */
  void *log_user_data;            /**< Passed to log; default NULL. */
  uint64_t cache_max_bytes;       /**< Size limit of the writable cache in bytes; default 0:
                                       UDM_CACHE_MAX_BYTES, then 256 MiB. */
  udm_allocate_callback allocate; /**< Allocates host memory; default NULL: malloc and free.
                                       Set both callbacks or neither. */
  udm_deallocate_callback deallocate;   /**< Frees host memory; default NULL. */
  void *allocator_user_data;            /**< Passed to both callbacks; default NULL. */
  udm_find_symbol_callback find_symbol; /**< Finds functions of the host's libraries; default NULL:
                                             udm opens the libraries. */
  void *find_symbol_user_data;          /**< Passed to find_symbol; default NULL. */
  udm_stop_callback should_stop;        /**< Ends waits and compiles; default NULL: nothing does. */
  void *should_stop_user_data;          /**< Passed to should_stop; default NULL. */
} udm_options;

/** Initializer of udm_options: all defaults. */
#define UDM_OPTIONS_INIT                                                                         \
  {                                                                                              \
    sizeof(udm_options), 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, \
        NULL, NULL                                                                               \
  }

/* ------------------------------------------------------------------------
 * Context
 * --------------------------------------------------------------------- */

/** The kernel, loaded into one CUDA context. Immutable after udm_create(). */
typedef struct udm_context udm_context;

/**
 * Loads the kernel into the current CUDA context of the calling thread.
 *
 * All slow work happens here. udm opens the driver library, gets a kernel image
 * for the device and loads it. It tries the image sources in order: the cache,
 * NVRTC, the cache for a lower architecture of the same major version, PTX from
 * NVRTC, then the PTX that the library carries; the driver assembles PTX. It
 * caches what it builds, and uses a cached image only in the place of the source
 * that made it. If the cache holds a cubin of NVRTC for the architecture of the
 * device, udm does not open NVRTC (docs/DEPLOYMENT.md). If a lesser image serves,
 * the log has one warning, with the reason and what to do. An entry that this
 * driver rejects stays in the cache: another node may need it. If
 * several threads or processes start with a cold cache, one builds the image
 * and the others wait for its cache entry (docs/CACHE.md). udm does not repeat a
 * compile that NVRTC rejected earlier in this process.
 *
 * udm retains no primary context, and leaves no thread, signal handler or exit
 * handler behind. After fork(), the child can only destroy a handle of its
 * parent: CUDA does not work there, so launching and preparing fail.
 *
 * @param options  Options, or NULL for the defaults; not kept.
 * @param out      Receives the handle, or NULL on failure; must not be NULL. The
 *   caller owns the handle and passes it to udm_destroy(), preferably before
 *   the CUDA context is destroyed.
 * @return UDM_OK, or:
 *   - UDM_ERROR_INVALID_ARGUMENT: out is NULL, or options are malformed.
 *   - UDM_ERROR_OUT_OF_MEMORY: no host memory, for udm or for NVRTC.
 *   - UDM_ERROR_NO_DRIVER: the driver library cannot be opened or is too old.
 *   - UDM_ERROR_NO_DEVICE: the driver finds no device.
 *   - UDM_ERROR_NO_CURRENT_CONTEXT: the thread has no current CUDA context.
 *   - UDM_ERROR_DRIVER: a driver call failed for a reason other than the image,
 *     such as a lack of device memory or a failed CUDA context.
 *   - UDM_ERROR_CAPTURE: a stream is being captured, and the driver (older than
 *     CUDA 10.1) cannot load code meanwhile. The capture is now invalid.
 *   - UDM_ERROR_NO_IMAGE: no image source worked, or the device is below compute
 *     capability 7.0. The message gives the reason per source.
 *   - UDM_ERROR_CANCELLED: should_stop of the options asked to stop.
 * @note Any thread; concurrent calls are allowed. Allowed during stream capture
 *   by this thread or another, and nothing of it becomes part of the capture;
 *   but it is slow, so prefer to call it earlier.
 */
UDM_API udm_status udm_create(const udm_options *options, udm_context **out);

/**
 * Unloads the kernel and frees the handle.
 *
 * No launch of the handle may be running, pending on a stream, or recorded in a
 * graph that will be launched again. If the CUDA context is already gone, or in
 * a child made by fork(), only the handle is freed. Drivers before CUDA 12
 * cannot distinguish a destroyed context from a new one at the same address.
 *
 * @param ctx  Handle from udm_create(), or NULL. It is invalid afterwards. Its
 *   CUDA context need not be current.
 * @note Any thread. Allowed during stream capture, if the capture holds no
 *   launch of this handle.
 */
UDM_API void udm_destroy(udm_context *ctx);

/** Where a kernel image came from. Values are pinned. */
typedef enum udm_image_source {
  UDM_IMAGE_NONE = 0,            /**< No image. */
  UDM_IMAGE_CACHE = 1,           /**< The writable cache. */
  UDM_IMAGE_READ_ONLY_LAYER = 2, /**< A read-only cache layer. */
  UDM_IMAGE_NVRTC = 3,           /**< Compiled by NVRTC in this process. */
  UDM_IMAGE_NVRTC_PTX = 4,       /**< PTX from NVRTC, assembled by the driver. */
  UDM_IMAGE_SHIPPED_PTX = 5      /**< The PTX that the library carries, assembled by the driver. */
} udm_image_source;

/**
 * Returns the name of an image source.
 *
 * @param source  Any value.
 * @return "none", "cache", "read-only layer", "nvrtc", "nvrtc ptx" or "shipped
 *   ptx", in static storage; "none" for any other value.
 * @note Any thread. Allowed during stream capture.
 */
UDM_API const char *udm_image_source_name(udm_image_source source);

/** Describes a context. */
typedef struct udm_context_info {
  size_t struct_size;            /**< sizeof(udm_context_info); set by the caller. */
  int32_t device;                /**< Device ordinal of the driver. */
  int32_t device_arch;           /**< Architecture of the device. */
  int32_t image_arch;            /**< Architecture that the image was built for. */
  udm_image_source image_source; /**< Where the image came from. */
  size_t image_bytes;            /**< Size of the image in bytes. */
  int32_t multiprocessor_count;  /**< Number of SMs of the device. */
  const char *image_detail;   /**< Cache entry, NVRTC library, or "the PTX that udm carries". Valid
                                   for as long as the handle. */
  const char *image_producer; /**< Who made the image, as text: "NVRTC 13.0, build ..."; valid for
                                   as long as the handle. */
} udm_context_info;

/** Initializer of udm_context_info. */
#define UDM_CONTEXT_INFO_INIT \
  { sizeof(udm_context_info), 0, 0, 0, UDM_IMAGE_NONE, 0, 0, NULL, NULL }

/**
 * Describes a context: its device and its kernel image.
 *
 * @param ctx   Handle from udm_create().
 * @param info  Filled; the caller owns it and sets struct_size.
 * @return UDM_OK, or UDM_ERROR_INVALID_ARGUMENT: a pointer is NULL or struct_size
 *   is wrong.
 * @note Any thread. Allowed during stream capture.
 */
UDM_API udm_status udm_get_context_info(const udm_context *ctx, udm_context_info *info);

/* ------------------------------------------------------------------------
 * The operation
 * --------------------------------------------------------------------- */

/**
 * The outputs of a backend: the order of the fields of udm_backend_outputs, and
 * of the rows of a pointer table (udm_decode_metadata_table()). Values are
 * pinned.
 */
typedef enum udm_output {
  UDM_OUTPUT_CACHE_SEQLENS = 0,     /**< cache_seqlens */
  UDM_OUTPUT_CU_SEQLENS_K = 1,      /**< cu_seqlens_k */
  UDM_OUTPUT_PAGE_TABLE_1 = 2,      /**< page_table_1 */
  UDM_OUTPUT_NSA_CACHE_SEQLENS = 3, /**< nsa_cache_seqlens */
  UDM_OUTPUT_NSA_CU_SEQLENS_K = 4,  /**< nsa_cu_seqlens_k */
  UDM_OUTPUT_REAL_PAGE_TABLE = 5,   /**< real_page_table */
  UDM_OUTPUT_SEQLENS_EXPANDED = 6   /**< seqlens_expanded */
} udm_output;

/** Number of outputs per backend in udm_backend_outputs and in a pointer table. */
#define UDM_OUTPUTS_PER_BACKEND 7
/** Most backends of one launch. */
#define UDM_MAX_BACKENDS 8
/** Most backends of one direct call: all. */
#define UDM_MAX_DIRECT_BACKENDS UDM_MAX_BACKENDS

/**
 * The phase of a speculative step that a launch serves. Values are pinned.
 *
 * Request i has s(i) tokens, which is seq_lens[i] clamped to 0 .. INT32_MAX, and
 * n(i) query tokens in this phase. L(i) is its KV length; expanded(e) is the part
 * of it that query token e = start(i) + j sees, for 0 <= j < n(i), with start the
 * exclusive prefix sum of n. T is the number of query tokens.
 *
 *     mode           n(i)                L(i)                     expanded(e)
 *     DECODE         1                   s(i) + seqlen_offset[b]  L(i)
 *     TARGET_VERIFY  tokens_per_request  s(i) + n(i)              s(i) + j + 1
 *                    or extend_lens[i]
 *     DRAFT_EXTEND   as TARGET_VERIFY    s(i)                     s(i) - n(i) + j + 1,
 *                                                                 at least 0
 *
 * L and expanded are limited to INT32_MAX. Source: SGLang 0.5.23, DSA backend,
 * fused_dsa_decode_metadata, fused_dsa_target_verify_metadata and
 * fused_dsa_draft_extend_metadata. In TARGET_VERIFY, seq_lens leaves out the draft
 * tokens; in DRAFT_EXTEND it includes them.
 */
typedef enum udm_mode {
  UDM_MODE_DECODE = 0,        /**< One query token per request. T = bs. */
  UDM_MODE_TARGET_VERIFY = 1, /**< The target model checks n draft tokens per request. */
  UDM_MODE_DRAFT_EXTEND = 2   /**< The draft model reads the n accepted tokens of a request. */
} udm_mode;

/**
 * Seven outputs of one backend, in the order of udm_output. udm_extra_outputs has
 * the others.
 *
 * All are int32 tensors in device memory that the caller owns. A null (0) output
 * is not written. Shapes and values use
 * - bs, T, s, n, start, L, expanded: see udm_mode; T is bs, then bs *
 *   tokens_per_request, or num_tokens if extend_lens is set;
 * - visible(x) = min(x, nsa_index_topk). If index_kpool is k > 1:
 *   min(x / k * k, nsa_index_topk) + x % k;
 * - row(i): row req_pool_indices[i] of req_to_token;
 * - extent(i): tokens whose columns are written, see udm_extent.
 *
 * Prefix sums wrap modulo 2^32. If extend_lens is set, tokens at or past the sum
 * of extend_lens have length 0 and no columns, and tokens at or past T are not
 * written. A page table has the same row for each token of a request; with
 * UDM_ROW_PER_REQUEST it has one row per request instead.
 */
typedef struct udm_backend_outputs {
  CUdeviceptr cache_seqlens; /**< [bs]: L(i), in tokens. */
  CUdeviceptr cu_seqlens_k;  /**< [bs + 1]: 0, then the inclusive prefix sum of cache_seqlens. */
  CUdeviceptr page_table_1;  /**< [T, page_table_stride]: KV slots row(i)[c] for c less than
                                  extent(i). */
  CUdeviceptr nsa_cache_seqlens; /**< [T]: visible(expanded(e)), in tokens. */
  CUdeviceptr nsa_cu_seqlens_k;  /**< [T + 1]: 0, then the inclusive prefix sum of
                                      nsa_cache_seqlens. */
  CUdeviceptr real_page_table;   /**< [T, real_page_table_stride]: page numbers
                                      row(i)[c * real_page_size] / real_page_size (C division) for c
                                      less than ceil(extent(i) / real_page_size). Must be null if
                                      real_page_size is 1. */
  CUdeviceptr seqlens_expanded;  /**< [T]: expanded(e), in tokens. */
} udm_backend_outputs;

/** More outputs of one backend, under the rules of udm_backend_outputs. */
typedef struct udm_extra_outputs {
  CUdeviceptr cu_seqlens_q;       /**< [bs + 1]: 0, then the inclusive prefix sum of n(i). */
  CUdeviceptr paged_mqa_ctx_lens; /**< [T]: expanded(e); with UDM_CTX_LENS_OF_REQUEST, L(i) of its
                                       request. In tokens. */
  CUdeviceptr paged_mqa_schedule; /**< [num_sms + 1, 2]: where the work of each SM begins; see
                                       udm_schedule_variant. */
} udm_extra_outputs;

/**
 * How DeepGEMM divides the work of its paged MQA logits among the SMs. Values are
 * pinned. Never guessed: it must be the variant of the DeepGEMM that reads the
 * schedule.
 *
 * The values are those of get_paged_mqa_logits_metadata(context_lens, 64,
 * num_sms). If schedule_next_n is 0, context_lens has B = T rows, len(b) =
 * expanded(b), and next_n is 1. Otherwise it is [bs, next_n] of L: B = bs, len(b)
 * = L(b), and next_n is schedule_next_n.
 *
 *     w(b) = ceil(len(b) / 256)
 *     m    = SM90: ceil(next_n / 2);  SM100: next_n
 *     q, r = divmod(m * sum of w, num_sms)
 *
 * Each SM gets q pieces of work; SM90: the last r SMs get one more; SM100: the
 * first r. SM i begins at piece p = sum of what the SMs before it get. It lies in
 * row b, at off = p - m * (sum of w before b):
 *
 *     SM90:  { b * m + off / w(b), off % w(b) }
 *     SM100: { b * m, off / m }
 *
 * The last entry, and that of an SM that begins behind the last piece, is
 * { B * m, 0 }. If all lengths are 0, every entry is { 0, 0 }: no SM has work.
 * (DeepGEMM's own function then reads outside its arrays.) Source: DeepGEMM,
 * sm90_paged_mqa_logits_metadata, as in sgl-deep-gemm 0.1.4, and commit 54e2261
 * and later for SM100.
 */
typedef enum udm_schedule_variant {
  UDM_SCHEDULE_UNSET = 0, /**< Allowed only if every paged_mqa_schedule is null. */
  UDM_SCHEDULE_SM90 = 1,  /**< SM90; for next_n 1, all that SGLang 0.5.23 calls. */
  UDM_SCHEDULE_SM100 = 2  /**< SM100. */
} udm_schedule_variant;

/** Which columns of the page tables are written. Values are pinned. */
typedef enum udm_extent {
  /** extent(i) = min(L(i), max_len), with the largest seqlen_offset: what attention reads. */
  UDM_EXTENT_ROW = 0,
  /** extent(i) = min(maximum of L over the batch, max_len): what eager PyTorch code writes. */
  UDM_EXTENT_BATCH_MAX = 1
} udm_extent;

/** Flag of udm_decode_args: the page tables have one row per request, [bs, stride]. */
#define UDM_ROW_PER_REQUEST 0x1u
/**
 * Flag of udm_decode_args: requests with seq_lens[i] <= 0 are padding. L and
 * expanded are 0, no column is written, and the index is not used; n(i) counts as
 * ever. Without it, the formulas hold as they stand.
 */
#define UDM_SKIP_PADDING 0x2u
/** Flag of udm_decode_args: paged_mqa_ctx_lens holds L, not expanded. */
#define UDM_CTX_LENS_OF_REQUEST 0x4u

/** Element type of an integer tensor. Values are pinned. */
typedef enum udm_int_type {
  UDM_INT32 = 0, /**< int32, aligned to 4 bytes. */
  UDM_INT64 = 1  /**< int64, aligned to 8 bytes. */
} udm_int_type;

/**
 * The arguments of one launch: one phase of a step, for all backends.
 *
 * Pointers are device addresses; for udm_decode_metadata_reference() they are
 * host addresses. The caller owns all memory. A call reads the structure and
 * does not keep it, so it can be changed and reused. The kernel reads and writes
 * the tensors when it runs.
 *
 * What must hold:
 * - Every pointer is aligned to its element: 4 bytes, or 8 for int64 inputs.
 *   Alignment to 16 bytes is faster.
 * - req_pool_indices[i] is a row of req_to_token for every i whose extent(i) is
 *   not 0. Otherwise it is not used: with UDM_EXTENT_ROW, padding rows of
 *   length 0 may hold anything.
 * - Outputs overlap neither the inputs nor each other, with three exceptions:
 *   in UDM_MODE_DECODE, cache_seqlens may be seqlens_expanded; backends may share whole tensors of
 *   equal contents; if L(i) is seq_lens[i], int32 seq_lens may be the
 *   cache_seqlens of a backend.
 * - A batch has at most 2^31 - 1 tiles. A row of max_len columns counts at most
 *   ceil(max_len / 128) + 1, or 0 if page_table_stride is 0; or ceil(pages / 32) if
 *   that is more and real_page_size is not 1.
 *
 * Nothing outside the columns stated in udm_backend_outputs is written. Offsets
 * are computed in 64 bits. batch_size alone has no limit.
 */
typedef struct udm_decode_args {
  size_t struct_size;           /**< sizeof(udm_decode_args). */
  CUdeviceptr seq_lens;         /**< [batch_size]: tokens in the KV cache per request. Required if
                                     batch_size is not 0. */
  CUdeviceptr req_pool_indices; /**< [batch_size]: row of req_to_token per request. Required if
                                     batch_size and max_len are not 0. */
  CUdeviceptr req_to_token;     /**< int32 [num_reqs, req_to_token_stride]: KV slot per token.
                                     Required if batch_size and max_len are not 0. */
  udm_int_type seq_lens_type;   /**< Element type of seq_lens; default UDM_INT32. */
  udm_int_type req_pool_indices_type; /**< Element type of req_pool_indices; default UDM_INT32. */
  int64_t req_to_token_stride;        /**< Elements per row, max_len to 2^31. */
  int64_t page_table_stride;          /**< Elements per row of page_table_1, max_len to 2^31; not
                                           used if every page_table_1 is null: then set 0. */
  int64_t real_page_table_stride;     /**< Elements per row of real_page_table,
                                           ceil(max_len / real_page_size) to 2^31; not used if
                                           real_page_size is 1. */
  int32_t batch_size;                 /**< Requests, 0 or more; default 0. */
  int32_t max_len;                    /**< Most tokens per row of the page tables, 0 or more. */
  int32_t num_backends;               /**< 1 to UDM_MAX_BACKENDS. */
  int32_t nsa_index_topk;             /**< Tokens, 0 or more: limit of nsa_cache_seqlens. */
  int32_t real_page_size;             /**< Tokens per page, 1 or more; default 1. */
  udm_extent extent;                  /**< Columns to write; default UDM_EXTENT_ROW. */
  udm_backend_outputs backends[UDM_MAX_BACKENDS]; /**< Outputs of the first num_backends; not used
                                                       by a pointer-table call. */
  udm_mode mode;                                  /**< Phase; default UDM_MODE_DECODE. */
  int32_t tokens_per_request; /**< n(i) of every request if extend_lens is null: 1 or more.
                                   UDM_MODE_DECODE: 0 or 1. Default 0. */
  CUdeviceptr extend_lens;    /**< [batch_size]: n(i) per request, clamped like seq_lens; default 0
                                   (null). Not for UDM_MODE_DECODE. */
  udm_int_type extend_lens_type; /**< Element type of extend_lens; default UDM_INT32. */
  int32_t num_tokens;  /**< T if extend_lens is set: query tokens that the outputs have room
                            for, whatever extend_lens holds. Otherwise 0. */
  int32_t index_kpool; /**< k of visible(); default 0, which is 1. */
  uint32_t flags;      /**< UDM_ROW_PER_REQUEST, UDM_SKIP_PADDING,
                            UDM_CTX_LENS_OF_REQUEST; default 0. */
  int32_t num_sms;     /**< SMs that share the work; 1 or more for a schedule. Default 0. */
  udm_schedule_variant schedule_variant; /**< Rule of the schedule; default UDM_SCHEDULE_UNSET. */
  int32_t schedule_next_n;               /**< 0: a row per token. 1 or more: a row per request, and
                                              next_n. Default 0. */
  int32_t reserved;                      /**< 0. */
  int32_t seqlen_offset[UDM_MAX_BACKENDS];   /**< Tokens, 0 or more, added to the lengths of each
                                                  backend; UDM_MODE_DECODE only. Default 0. */
  udm_extra_outputs extra[UDM_MAX_BACKENDS]; /**< More outputs of the first num_backends; used by a
                                                  pointer-table call too. Default: all null. */
} udm_decode_args;

/** Initializer of udm_decode_args: struct_size and the defaults; the rest is 0. */
#define UDM_DECODE_ARGS_INIT                                                                   \
  {                                                                                            \
    sizeof(udm_decode_args), 0, 0, 0, UDM_INT32, UDM_INT32, 0, 0, 0, 0, 0, 0, 0, 1,            \
        UDM_EXTENT_ROW, {{0, 0, 0, 0, 0, 0, 0}}, UDM_MODE_DECODE, 0, 0, UDM_INT32, 0, 0, 0, 0, \
        UDM_SCHEDULE_UNSET, 0, 0, {0}, {                                                       \
      { 0, 0, 0 }                                                                              \
    }                                                                                          \
  }

/**
 * Direct call: launches the kernel with the output pointers as arguments.
 *
 * Enqueues one kernel on the stream that fills the outputs of all backends. The
 * pointers travel as kernel arguments: no table in device memory, no copy.
 *
 * @param ctx     Handle from udm_create(); its CUDA context must be current.
 * @param args    Arguments; read during the call. If batch_size is 0, no input is
 *   read; the leading 0 of the prefix sums, a schedule without work and, with
 *   extend_lens, num_tokens tokens of length 0 are written.
 * @param stream  Stream of that CUDA context, or NULL for its default stream.
 * @return UDM_OK, or (nothing is launched):
 *   - UDM_ERROR_INVALID_ARGUMENT: the message names the argument; or the handle
 *     comes from before fork().
 *   - UDM_ERROR_DRIVER: cuLaunchKernel failed.
 * @note Any thread, concurrently on one handle. It takes no lock, allocates
 *   nothing and does not synchronize. Allowed during stream capture: the grid
 *   depends on args alone, so a recorded launch stays correct on every replay,
 *   whatever lengths the tensors hold then. The handle and the tensors must live
 *   as long as the launch is pending or its graph is used.
 */
UDM_API udm_status udm_decode_metadata_direct(udm_context *ctx, const udm_decode_args *args,
                                              CUstream stream);

/**
 * Pointer-table call: launches the kernel with the output pointers in device
 * memory.
 *
 * Does the same as udm_decode_metadata_direct(), and its rules hold. It takes
 * the table as unified_decode_metadata_cuda of sgl_kernel does. args->backends
 * is not used. A stride of a page table is checked unless it is 0; 0 means that
 * no backend has that table.
 *
 * @param ctx               Handle from udm_create(); its CUDA context must be
 *   current.
 * @param args              Arguments; read during the call.
 * @param backend_pointers  Device address, aligned to 8 bytes, of an int64 array
 *   [7, num_backends]: row by udm_output, column by backend. The kernel reads it
 *   when it runs: keep it until then, and for as long as a graph that recorded
 *   the launch is used. A null output is not written.
 * @param backend_pointers_stride  Elements from row to row, num_backends or more.
 * @param stream            Stream of that CUDA context, or NULL for its default
 *   stream.
 * @return UDM_OK, or (nothing is launched):
 *   - UDM_ERROR_INVALID_ARGUMENT: the message names the argument; or the handle
 *     comes from before fork().
 *   - UDM_ERROR_DRIVER: cuLaunchKernel failed.
 * @note Any thread, concurrently on one handle. Allowed during stream capture.
 */
UDM_API udm_status udm_decode_metadata_table(udm_context *ctx, const udm_decode_args *args,
                                             CUdeviceptr backend_pointers,
                                             int64_t backend_pointers_stride, CUstream stream);

/**
 * A launch that is described instead of made: for a kernel node of a CUDA graph,
 * or for the caller's own cuLaunchKernelEx.
 *
 * Set struct_size (UDM_KERNEL_LAUNCH_INIT does) and let udm_prepare_direct() or
 * udm_prepare_table() fill the rest:
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
 *     // for other arguments: prepare again, fill node again, then
 *     cuGraphExecKernelNodeSetParams(exec, handle, &node);
 *
 * parameters points into the structure, so do not move or copy the structure
 * between the two calls. The driver copies the parameters during its call;
 * afterwards the structure can be reused or discarded.
 *
 * Other arguments may need another function. cuGraphExecKernelNodeSetParams()
 * can change the function of a node since CUDA 11.2 (driver version), if both
 * launches were prepared with handles of one CUDA context. With an older driver,
 * instantiate the graph again.
 */
typedef struct udm_kernel_launch {
  size_t struct_size;    /**< sizeof(udm_kernel_launch); set by the caller. */
  void *function;        /**< A CUfunction, valid until udm_destroy(). */
  uint32_t grid_x;       /**< Blocks in x. */
  uint32_t grid_y;       /**< Blocks in y. */
  uint32_t grid_z;       /**< Blocks in z. */
  uint32_t block_x;      /**< Threads per block in x. */
  uint32_t block_y;      /**< Threads per block in y. */
  uint32_t block_z;      /**< Threads per block in z. */
  uint32_t shared_bytes; /**< Dynamic shared memory in bytes. */
  void **parameters;     /**< For kernelParams; points into storage. */

  unsigned char storage[2048]; /**< Private: what parameters points to. Aligned like a pointer. */
} udm_kernel_launch;

/** Initializer of udm_kernel_launch. */
#define UDM_KERNEL_LAUNCH_INIT                                        \
  {                                                                   \
    sizeof(udm_kernel_launch), NULL, 0, 0, 0, 0, 0, 0, 0, NULL, { 0 } \
  }

/**
 * Describes the launch of udm_decode_metadata_direct() without making it.
 *
 * Checks the same arguments; makes no driver call. The node stays correct,
 * whatever lengths the tensors hold when it runs.
 *
 * @param ctx            Handle from udm_create(); its CUDA context need not be
 *   current.
 * @param args           Arguments; read during the call.
 * @param kernel_launch  Filled; unchanged on failure. The caller owns it and sets
 *   struct_size.
 * @return UDM_OK, or UDM_ERROR_INVALID_ARGUMENT: the message names the argument; or
 *   the handle comes from before fork().
 * @note Any thread. Allowed during stream capture.
 */
UDM_API udm_status udm_prepare_direct(udm_context *ctx, const udm_decode_args *args,
                                      udm_kernel_launch *kernel_launch);

/**
 * Describes the launch of udm_decode_metadata_table() without making it.
 *
 * Checks the same arguments; makes no driver call.
 *
 * @param ctx               Handle from udm_create(); its CUDA context need not
 *   be current.
 * @param args              Arguments; read during the call.
 * @param backend_pointers  The pointer table, as for
 *   udm_decode_metadata_table(); must live as long as the graph.
 * @param backend_pointers_stride  Elements from row to row, num_backends or more.
 * @param kernel_launch     Filled; unchanged on failure. The caller owns it and
 *   sets struct_size.
 * @return UDM_OK, or UDM_ERROR_INVALID_ARGUMENT: the message names the argument; or
 *   the handle comes from before fork().
 * @note Any thread. Allowed during stream capture.
 */
UDM_API udm_status udm_prepare_table(udm_context *ctx, const udm_decode_args *args,
                                     CUdeviceptr backend_pointers, int64_t backend_pointers_stride,
                                     udm_kernel_launch *kernel_launch);

/**
 * Does the operation in plain C over host memory, before it returns.
 *
 * The tests use it as the oracle and the tools as their CPU device.
 *
 * @param args  Arguments as for udm_decode_metadata_direct(), with host
 *   addresses in place of device addresses.
 * @return UDM_OK, or UDM_ERROR_INVALID_ARGUMENT: the message names the argument.
 * @note Any thread. Makes no CUDA call.
 */
UDM_API udm_status udm_decode_metadata_reference(const udm_decode_args *args);

/* ------------------------------------------------------------------------
 * Looking at the machine: driver, devices, NVRTC, image
 * --------------------------------------------------------------------- */

/** Size of a path in a structure, in bytes, with its terminating 0. */
#define UDM_PATH_SIZE 4096

/** Describes the driver. */
typedef struct udm_driver_info {
  size_t struct_size;       /**< sizeof(udm_driver_info); set by the caller. */
  int32_t version;          /**< cuDriverGetVersion: 13000 for CUDA 13.0. */
  int32_t device_count;     /**< Number of devices; 0 if cuInit finds none. */
  char path[UDM_PATH_SIZE]; /**< The file that was opened. With find_symbol: the file of the host's
                                 driver, or "" if it is not known. */
} udm_driver_info;

/**
 * Describes the driver. Calls cuInit, creates no CUDA context.
 *
 * @param options  Options, or NULL for the defaults.
 * @param info     Filled; the caller owns it and sets struct_size.
 * @return UDM_OK, also if there is no device, or:
 *   - UDM_ERROR_INVALID_ARGUMENT: info is NULL, or a structure is malformed.
 *   - UDM_ERROR_NO_DRIVER: the driver library cannot be opened or is too old.
 *   - UDM_ERROR_DRIVER: a driver call failed.
 * @note Any thread. Not during stream capture.
 */
UDM_API udm_status udm_query_driver(const udm_options *options, udm_driver_info *info);

/** Describes a device. */
typedef struct udm_device_info {
  size_t struct_size;           /**< sizeof(udm_device_info); set by the caller. */
  int32_t arch;                 /**< Architecture: 90, 103. */
  int32_t multiprocessor_count; /**< Number of SMs. */
  uint64_t memory_bytes;        /**< Device memory in bytes. */
  char name[256];               /**< Name, as the driver gives it. */
} udm_device_info;

/**
 * Describes a device. Calls cuInit, creates no CUDA context.
 *
 * @param options  Options, or NULL for the defaults.
 * @param ordinal  Device ordinal, 0 to device_count - 1.
 * @param info     Filled; the caller owns it and sets struct_size.
 * @return UDM_OK, or:
 *   - UDM_ERROR_INVALID_ARGUMENT: info is NULL, or a structure is malformed.
 *   - UDM_ERROR_NO_DRIVER: the driver library cannot be opened or is too old.
 *   - UDM_ERROR_NO_DEVICE: there is no device of that ordinal.
 *   - UDM_ERROR_DRIVER: a driver call failed.
 * @note Any thread. Not during stream capture.
 */
UDM_API udm_status udm_query_device(const udm_options *options, int32_t ordinal,
                                    udm_device_info *info);

/**
 * Finds a function of the driver library that udm uses, for hosts that do not
 * link libcuda.
 *
 * @param options  Options, or NULL for the defaults.
 * @param name     Exported name: "cuMemAlloc_v2".
 * @param symbol   Receives the address. It stays valid until the process ends;
 *   with find_symbol, for as long as the host keeps it.
 * @return UDM_OK, or:
 *   - UDM_ERROR_INVALID_ARGUMENT: name or symbol is NULL, or options are malformed.
 *   - UDM_ERROR_NO_DRIVER: the driver library cannot be opened or is too old.
 *   - UDM_ERROR_NOT_FOUND: the driver has no such function.
 * @note Any thread. Not during stream capture.
 */
UDM_API udm_status udm_driver_symbol(const udm_options *options, const char *name, void **symbol);

/** Most architectures in udm_nvrtc_info. */
#define UDM_MAX_ARCHS 64

/** Describes an NVRTC library. */
typedef struct udm_nvrtc_info {
  size_t struct_size;           /**< sizeof(udm_nvrtc_info); set by the caller. */
  int32_t version_major;        /**< Major version. */
  int32_t version_minor;        /**< Minor version. */
  int32_t arch_count;           /**< Number of entries in archs. */
  int32_t archs[UDM_MAX_ARCHS]; /**< Architectures it compiles for, ascending: 75, 80, ... */
  char path[UDM_PATH_SIZE];     /**< The file; "" if it is not known. */
} udm_nvrtc_info;

/**
 * Finds and opens NVRTC as a compile does, and describes it.
 *
 * @param options  Options, or NULL for the defaults.
 * @param info     Filled; the caller owns it and sets struct_size.
 * @return UDM_OK, or:
 *   - UDM_ERROR_INVALID_ARGUMENT: info is NULL, or a structure is malformed.
 *   - UDM_ERROR_OUT_OF_MEMORY: no host memory.
 *   - UDM_ERROR_NO_NVRTC: no candidate can be used; the message lists them.
 * @note Any thread. Not during stream capture.
 */
UDM_API udm_status udm_query_nvrtc(const udm_options *options, udm_nvrtc_info *info);

/** A candidate of the search for NVRTC. The library owns it. */
typedef struct udm_nvrtc_candidate {
  size_t struct_size;          /**< Size that the library knows. */
  const char *library;         /**< What was opened: a path, or a name for the dynamic loader. */
  const char *reason;          /**< Why it cannot be used; "" if it can. */
  const udm_nvrtc_info *nvrtc; /**< Description; NULL if it cannot be used. */
} udm_nvrtc_candidate;

/**
 * Receives a candidate. It may call udm functions.
 *
 * @param user_data  As passed to udm_nvrtc_enumerate().
 * @param candidate  The candidate; valid during the call.
 * @return 0 to continue, anything else to stop.
 */
typedef int (*udm_nvrtc_callback)(void *user_data, const udm_nvrtc_candidate *candidate);

/**
 * Reports the file of every candidate of the search for NVRTC, in search order,
 * and opens none that is not loaded yet.
 *
 * A library that is damaged in a way that its ELF headers do not show can kill
 * the process that opens it: with these names, a tool can open each candidate
 * in a child process (name it in the options). A candidate's nvrtc is NULL; its
 * reason is "" unless its file is truncated.
 *
 * @param options    Options, or NULL for the defaults.
 * @param callback   Receives each candidate; must not be NULL.
 * @param user_data  Passed to callback; may be NULL.
 * @return UDM_OK, also if there is no candidate or the callback stopped, or:
 *   - UDM_ERROR_INVALID_ARGUMENT: callback is NULL, or options are malformed.
 *   - UDM_ERROR_OUT_OF_MEMORY: no host memory.
 * @note Any thread. Not during stream capture.
 */
UDM_API udm_status udm_nvrtc_find(const udm_options *options, udm_nvrtc_callback callback,
                                  void *user_data);

/**
 * Reports every candidate of the search for NVRTC, in search order.
 *
 * udm_query_nvrtc() and a compile use the first candidate that works. A library
 * with several names is reported once. udm opens each candidate, and it stays
 * mapped until the process ends. If the host provides NVRTC, it is the only
 * candidate.
 *
 * @param options    Options, or NULL for the defaults.
 * @param callback   Receives each candidate; must not be NULL.
 * @param user_data  Passed to callback; may be NULL.
 * @return UDM_OK, also if there is no candidate or the callback stopped; or
 *   UDM_ERROR_INVALID_ARGUMENT: callback is NULL, or options are malformed.
 * @note Any thread. Not during stream capture.
 */
UDM_API udm_status udm_nvrtc_enumerate(const udm_options *options, udm_nvrtc_callback callback,
                                       void *user_data);

/** Says which image source serves a device. */
typedef struct udm_image_plan {
  size_t struct_size;         /**< sizeof(udm_image_plan); set by the caller. */
  udm_image_source source;    /**< The image source. */
  int32_t image_arch;         /**< Architecture of the image. */
  char detail[UDM_PATH_SIZE]; /**< Cache entry, NVRTC library, or "the PTX that udm carries". */
  char skipped[8192];         /**< A line per better image source, "- name: reason"; "" if there is
                                   none. */
  int32_t driver_version; /**< Version of the driver with which images were compared; 0: there is no
                               driver. */
  char producer[512];     /**< Who made the image, or would: "NVRTC 13.0, build ...". */
  char lesser[16384];     /**< A line per source that would serve if the better ones did not, best
                               first, "- name: detail"; "" if there is none. */
  char advice[768];       /**< What to do for the best image, a cubin of NVRTC for exactly this
                               architecture; "" if it is that. */
} udm_image_plan;

/**
 * Says which image source would serve a device, without compiling or loading.
 *
 * If there is a driver, udm compares its version with what made the image, and
 * passes over images of a newer CUDA, which the driver would reject. Only loading
 * (udm_create()) proves that it accepts an image.
 *
 * udm opens NVRTC if udm_create() would, and for the field lesser. If struct_size ends
 * before that field, udm opens nothing that udm_create() would not open.
 *
 * @param options  Options, or NULL for the defaults.
 * @param arch     Architecture of the device, 10 or more.
 * @param plan     Filled; the caller owns it and sets struct_size.
 * @return UDM_OK, or:
 *   - UDM_ERROR_INVALID_ARGUMENT: plan is NULL, a structure is malformed, or arch is
 *     less than 10.
 *   - UDM_ERROR_OUT_OF_MEMORY: no host memory.
 *   - UDM_ERROR_NO_IMAGE: no image source would serve the device; the message
 *     gives the reason per source.
 * @note Any thread. Not during stream capture.
 */
UDM_API udm_status udm_plan_image(const udm_options *options, int32_t arch, udm_image_plan *plan);

/* ------------------------------------------------------------------------
 * Prewarm and cache: no GPU and no driver needed
 * --------------------------------------------------------------------- */

/** Flag of udm_prewarm(): compile even if a good entry exists. */
#define UDM_PREWARM_FORCE 0x1u

/** What udm_prewarm() did. */
typedef struct udm_prewarm_result {
  size_t struct_size;       /**< sizeof(udm_prewarm_result); set by the caller. */
  int32_t compiled;         /**< 1: compiled now; 0: a good entry existed. */
  double compile_ms;        /**< Wall time in NVRTC, milliseconds; 0 if not compiled. */
  size_t bytes;             /**< Size of the cubin in bytes. */
  char path[UDM_PATH_SIZE]; /**< The cache entry. */
} udm_prewarm_result;

/**
 * Makes sure that the writable cache holds a cubin for an architecture.
 *
 * udm_query_nvrtc() lists the architectures of the NVRTC that udm uses; to use
 * another that udm_nvrtc_enumerate() reports, name it in the options.
 *
 * @param options  Options, or NULL for the defaults.
 * @param arch     Architecture, 70 or more.
 * @param flags    UDM_PREWARM_FORCE or 0.
 * @param result   Filled if not NULL; the caller owns it and sets struct_size.
 * @return UDM_OK, or:
 *   - UDM_ERROR_INVALID_ARGUMENT: a structure is malformed, a flag is unknown, or
 *     options or environment forbid compiling.
 *   - UDM_ERROR_OUT_OF_MEMORY: no host memory.
 *   - UDM_ERROR_NO_NVRTC: no NVRTC can be used.
 *   - UDM_ERROR_UNSUPPORTED_ARCH: the kernel or this NVRTC does not support arch.
 *   - UDM_ERROR_COMPILE: NVRTC failed; the message holds its log.
 *   - UDM_ERROR_CACHE: the entry could not be written.
 *   - UDM_ERROR_CANCELLED: should_stop of the options asked to stop.
 * @note Any thread; calls for different architectures can run concurrently. Not
 *   during stream capture.
 */
UDM_API udm_status udm_prewarm(const udm_options *options, int32_t arch, uint32_t flags,
                               udm_prewarm_result *result);

/** Describes a layer of the cache. */
typedef struct udm_cache_layer_info {
  size_t struct_size;       /**< sizeof(udm_cache_layer_info); set by the caller. */
  int32_t writable;         /**< 1 for layer 0, 0 for the read-only layers. */
  int32_t usable;           /**< 1 if it can be used; 0: reason says why not. */
  char path[UDM_PATH_SIZE]; /**< The folder; "" if none could be determined. */
  char reason[256];         /**< Why it cannot be used; "" if it can. */
  uint64_t max_bytes;       /**< Size limit in bytes; 0 for a read-only layer. */
} udm_cache_layer_info;

/**
 * Describes one layer of the cache.
 *
 * It creates nothing. A writable folder that does not exist yet counts as
 * usable if it can be created.
 *
 * @param options  Options, or NULL for the defaults.
 * @param layer    0 for the writable layer; 1 and up for the read-only layers, in
 *   search order.
 * @param info     Filled; the caller owns it and sets struct_size.
 * @return UDM_OK, also if the layer cannot be used, or:
 *   - UDM_ERROR_INVALID_ARGUMENT: info is NULL, or a structure is malformed.
 *   - UDM_ERROR_OUT_OF_MEMORY: no host memory.
 *   - UDM_ERROR_NOT_FOUND: there is no such layer.
 * @note Any thread. Not during stream capture.
 */
UDM_API udm_status udm_query_cache_layer(const udm_options *options, int32_t layer,
                                         udm_cache_layer_info *info);

/** State of a cache entry. Values are pinned. */
typedef enum udm_cache_entry_state {
  UDM_CACHE_ENTRY_OK = 0,    /**< Whole, and of this library's kernel. */
  UDM_CACHE_ENTRY_STALE = 1, /**< Whole, but of another kernel source or other compile options; this
                                  library never uses it. */
  UDM_CACHE_ENTRY_BAD = 2    /**< Damaged or foreign; no library uses it. */
} udm_cache_entry_state;

/**
 * Returns the name of a state.
 *
 * @param state  Any value.
 * @return "ok", "stale" or "bad", in static storage; "bad" for any other value.
 * @note Any thread. Allowed during stream capture.
 */
UDM_API const char *udm_cache_entry_state_name(udm_cache_entry_state state);

/** Describes a cache entry. The library owns it. */
typedef struct udm_cache_entry_info {
  size_t struct_size;          /**< Size that the library knows. */
  int32_t layer;               /**< Layer that holds the entry; 0 is the writable one. */
  int32_t arch;                /**< Architecture, from the file name if the entry is bad; 0 if it is
                                    not known. */
  udm_cache_entry_state state; /**< Whether the entry can be used. */
  uint64_t bytes;              /**< Size of the file in bytes. */
  const char *path;            /**< The file. */
  const char *reason;          /**< Why it is not ok; "" if it is. */
  const char *producer;        /**< The compiler that built it; "" if the entry is bad. */
  int64_t last_used;           /**< Seconds since 1970, to about a minute; 0 if it is not known. */
  const void *contents;        /**< The file's contents; NULL if they could not be read. */
} udm_cache_entry_info;

/**
 * Receives a cache entry. It may call udm functions.
 *
 * @param user_data  As passed to udm_cache_enumerate().
 * @param entry      The entry; it and its pointers are valid during the call.
 * @return 0 to continue, anything else to stop.
 */
typedef int (*udm_cache_entry_callback)(void *user_data, const udm_cache_entry_info *entry);

/**
 * Reads and checks every entry of every usable layer, by layer, then by name.
 *
 * A folder that does not exist has no entries. This does not count as use of an
 * entry. Other processes can use the cache meanwhile.
 *
 * @param options    Options, or NULL for the defaults.
 * @param callback   Receives each entry; must not be NULL.
 * @param user_data  Passed to callback; may be NULL.
 * @return UDM_OK, also if the callback stopped, or:
 *   - UDM_ERROR_INVALID_ARGUMENT: callback is NULL, or options are malformed.
 *   - UDM_ERROR_OUT_OF_MEMORY: no host memory.
 *   - UDM_ERROR_CACHE: a folder cannot be read or is not trusted. The entries of
 *     the other layers are still reported.
 * @note Any thread. Not during stream capture.
 */
UDM_API udm_status udm_cache_enumerate(const udm_options *options,
                                       udm_cache_entry_callback callback, void *user_data);

/** Flag of udm_cache_prune_options: report, but remove nothing. */
#define UDM_CACHE_PRUNE_DRY_RUN 0x1u
/** Flag of udm_cache_prune_options: remove every entry. */
#define UDM_CACHE_PRUNE_ALL 0x2u

/** Which entries of the writable cache udm_cache_prune() removes. */
typedef struct udm_cache_prune_options {
  size_t struct_size;         /**< sizeof(udm_cache_prune_options). */
  uint32_t flags;             /**< UDM_CACHE_PRUNE_*; default 0. */
  int32_t keep_arch_count;    /**< Number of entries in keep_archs; default 0: keep all. */
  const int32_t *keep_archs;  /**< [keep_arch_count]: architectures to keep; entries for others are
                                   removed. Owned by the caller. */
  int64_t older_than_seconds; /**< Remove entries not used for this long; default -1 (negative):
                                   no limit. */
  uint64_t max_bytes;         /**< Then remove the least recently used entries until the rest is no
                                   larger; default UINT64_MAX: the size limit of udm_options. */
} udm_cache_prune_options;

/** Initializer of udm_cache_prune_options: only the size limit. */
#define UDM_CACHE_PRUNE_OPTIONS_INIT \
  { sizeof(udm_cache_prune_options), 0, 0, NULL, -1, UINT64_MAX }

/**
 * A file that udm_cache_prune() removed, would remove, or had to leave. The
 * library owns it.
 */
typedef struct udm_cache_removal {
  size_t struct_size; /**< Size that the library knows. */
  int32_t arch;       /**< Architecture; 0 if it is not known. */
  int32_t in_use;     /**< 1: another process reads or writes the file now, so it stays. */
  uint64_t bytes;     /**< Size of the file in bytes. */
  const char *path;   /**< The file. */
  const char *reason; /**< The rule that applies. */
} udm_cache_removal;

/**
 * Receives a removal. It may call udm functions.
 *
 * @param user_data  As passed to udm_cache_prune().
 * @param removal    The removal; it and its pointers are valid during the call.
 * @return 0 to continue, anything else to stop.
 */
typedef int (*udm_cache_removal_callback)(void *user_data, const udm_cache_removal *removal);

/** Sums of udm_cache_prune(). A dry run counts what would be removed. */
typedef struct udm_cache_prune_result {
  size_t struct_size;     /**< sizeof(udm_cache_prune_result); set by the caller. */
  int32_t removed;        /**< Files removed. */
  int32_t kept;           /**< Entries kept. */
  uint64_t removed_bytes; /**< Size of the removed files in bytes. */
  uint64_t kept_bytes;    /**< Size of the kept entries in bytes. */
} udm_cache_prune_result;

/**
 * Removes entries from the writable cache.
 *
 * It removes damaged and foreign entries, files that killed processes left
 * behind, and the entries that the rules name. An entry that is in use stays.
 * Files that do not belong to the cache are not touched. A folder that does not
 * exist has no entries. Other processes can use the cache meanwhile.
 *
 * @param options    Options, or NULL for the defaults.
 * @param rules      Rules, or NULL for UDM_CACHE_PRUNE_OPTIONS_INIT.
 * @param callback   Receives each removal, or NULL. The removals by size come
 *   last; both groups are in order of last use, oldest first.
 * @param user_data  Passed to callback; may be NULL.
 * @param result     Receives the sums if not NULL, also if UDM_ERROR_CACHE is
 *   returned; the caller owns it and sets struct_size.
 * @return UDM_OK, also if the callback stopped, or:
 *   - UDM_ERROR_INVALID_ARGUMENT: a structure is malformed, or has an unknown flag.
 *   - UDM_ERROR_OUT_OF_MEMORY: no host memory.
 *   - UDM_ERROR_CACHE: the folder cannot be read or written or is not trusted, or
 *     a file could not be removed; the other files still are.
 * @note Any thread. Not during stream capture.
 */
UDM_API udm_status udm_cache_prune(const udm_options *options, const udm_cache_prune_options *rules,
                                   udm_cache_removal_callback callback, void *user_data,
                                   udm_cache_prune_result *result);

/** What udm_cache_import() did. */
typedef struct udm_cache_import_result {
  size_t struct_size;       /**< sizeof(udm_cache_import_result); set by the caller. */
  int32_t imported;         /**< 1: written now; 0: the same entry existed. */
  int32_t arch;             /**< Architecture of the entry. */
  char path[UDM_PATH_SIZE]; /**< The cache entry. */
} udm_cache_import_result;

/**
 * Adds an entry from this or another machine to the writable cache.
 *
 * udm_cache_enumerate() gives the contents of an entry. udm checks them (sizes,
 * checksum, ELF, the architecture of the key) and derives the file name from
 * them. A checksum is not a signature: import only from a source that may run
 * code here.
 *
 * @param options   Options, or NULL for the defaults.
 * @param contents  The entry; read during the call. Must not be NULL.
 * @param size      Size of contents in bytes.
 * @param result    Filled if not NULL; the caller owns it and sets struct_size.
 * @return UDM_OK, or:
 *   - UDM_ERROR_INVALID_ARGUMENT: contents is NULL or not a whole entry, or a
 *     structure is malformed.
 *   - UDM_ERROR_OUT_OF_MEMORY: no host memory.
 *   - UDM_ERROR_CACHE: the entry could not be written.
 * @note Any thread. Not during stream capture.
 */
UDM_API udm_status udm_cache_import(const udm_options *options, const void *contents, size_t size,
                                    udm_cache_import_result *result);

/**
 * What the cache did in this process so far, over all options: name and text per
 * counter. A lookup that finds nothing counts one miss, with the reason of the
 * best candidate.
 */
#define UDM_CACHE_COUNTER_TABLE(X)                                                    \
  X(hits_writable, "lookups that the writable cache served")                          \
  X(hits_read_only, "lookups that a read-only layer served")                          \
  X(misses_no_entry, "lookups that found no entry")                                   \
  X(misses_damaged, "lookups that found only damaged or foreign entries")             \
  X(misses_wrong_arch, "lookups whose entry held an image for another architecture")  \
  X(misses_refused, "lookups whose image udm or the driver rejected")                 \
  X(compiles, "kernels compiled")                                                     \
  X(compile_failures, "compiles that failed")                                         \
  X(remembered_failures, "compiles not tried because the same one had failed before") \
  X(publishes, "entries written")                                                     \
  X(publish_failures, "entries that could not be written")                            \
  X(repairs, "damaged or rejected entries removed or replaced")                       \
  X(evictions, "entries removed because of the size limit")                           \
  X(leftovers_removed, "files of killed processes removed")                           \
  X(lock_waits, "times that another process or thread was compiling the same kernel") \
  X(lock_timeouts, "waits for it that timed out")                                     \
  X(lock_failures, "compiles without a lock, because it could not be taken")

/** The counters of UDM_CACHE_COUNTER_TABLE, since the process began. */
typedef struct udm_cache_counters {
  size_t struct_size; /**< sizeof(udm_cache_counters); set by the caller. */
#define UDM_CACHE_COUNTER_FIELD(name, text) uint64_t name;
  UDM_CACHE_COUNTER_TABLE(UDM_CACHE_COUNTER_FIELD)
#undef UDM_CACHE_COUNTER_FIELD
} udm_cache_counters;

/**
 * Reads the counters of the cache.
 *
 * @param counters  Filled; the caller owns it and sets struct_size.
 * @return UDM_OK, or UDM_ERROR_INVALID_ARGUMENT: counters is NULL or struct_size is
 *   wrong.
 * @note Any thread. Allowed during stream capture.
 */
UDM_API udm_status udm_get_cache_counters(udm_cache_counters *counters);

/**
 * Writes the counters of the cache, and the images that this process has loaded,
 * as text in the exposition format of Prometheus, version 0.0.4.
 *
 * A host adds the text to what it serves at its own endpoint. The counters are
 * udm_cache_<name>_total, for every name of UDM_CACHE_COUNTER_TABLE.
 * udm_images_loaded_total has the labels device_arch, image_arch, source and
 * producer; beyond 32 different images, the rest is not counted one by one but
 * with the source "other". udm_build_info has the version. Every name begins with
 * udm_, and the text ends with a newline.
 *
 * @param text    Receives the text with its terminating 0, cut to size; may be
 *   NULL if size is 0.
 * @param size    Size of text in bytes.
 * @param length  Receives the length of the whole text, without the 0; must not
 *   be NULL. If it is not less than size, the text was cut: call again with more.
 * @return UDM_OK, or UDM_ERROR_INVALID_ARGUMENT: length is NULL, or text is NULL
 *   and size is not 0.
 * @note Any thread. Allowed during stream capture.
 */
UDM_API udm_status udm_get_metrics(char *text, size_t size, size_t *length);

#ifdef __cplusplus
}
#endif

#endif /* UDM_H */
