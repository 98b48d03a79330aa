/*
 * The public header as it was before udm_options and udm_cache_entry_info grew
 * (prune, import and counters came with that), without its comments: what an
 * older program was compiled with. It never changes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_H
#define UDM_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#define UDM_VERSION_MAJOR 0
#define UDM_VERSION_MINOR 1
#define UDM_VERSION_PATCH 0
#if defined(__GNUC__) || defined(__clang__)
#define UDM_API __attribute__((visibility("default")))
#else
#define UDM_API
#endif
#if defined(_WIN64) || defined(__LP64__)
typedef unsigned long long CUdeviceptr;
#else
typedef unsigned int CUdeviceptr;
#endif
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
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
  X(UDM_ERROR_NOT_FOUND, 12, "nothing at that index or name")
typedef enum udm_status {
#define UDM_STATUS_ENUMERATOR(name, value, text) name = value,
  UDM_STATUS_TABLE(UDM_STATUS_ENUMERATOR)
#undef UDM_STATUS_ENUMERATOR
      UDM_STATUS_FORCE_INT = 0x7fffffff
} udm_status;
UDM_API const char *udm_status_name(udm_status status);
UDM_API const char *udm_status_text(udm_status status);
UDM_API const char *udm_last_error(void);
UDM_API int32_t udm_version(void);
UDM_API const char *udm_version_string(void);
typedef enum udm_log_level {
  UDM_LOG_WARNING = 0,
  UDM_LOG_INFO = 1,
  UDM_LOG_DEBUG = 2
} udm_log_level;
typedef void (*udm_log_callback)(void *user_data, udm_log_level level, const char *message);
#define UDM_OPTION_NO_COMPILE 0x1u
typedef struct udm_options {
  size_t struct_size;
  uint32_t flags;
  const char *driver_library;
  const char *nvrtc_library;
  const char *cache_dir;
  const char *cache_path;
  udm_log_callback log;
  void *log_user_data;
} udm_options;
#define UDM_OPTIONS_INIT \
  { sizeof(udm_options), 0, NULL, NULL, NULL, NULL, NULL, NULL }
typedef struct udm_context udm_context;
UDM_API udm_status udm_create(const udm_options *options, udm_context **out);
UDM_API void udm_destroy(udm_context *ctx);
typedef enum udm_image_source {
  UDM_IMAGE_NONE = 0,
  UDM_IMAGE_CACHE = 1,
  UDM_IMAGE_READ_ONLY_LAYER = 2,
  UDM_IMAGE_NVRTC = 3
} udm_image_source;
UDM_API const char *udm_image_source_name(udm_image_source source);
typedef struct udm_context_info {
  size_t struct_size;
  int32_t device;
  int32_t device_arch;
  int32_t image_arch;
  udm_image_source image_source;
  size_t image_bytes;
  int32_t multiprocessor_count;
} udm_context_info;
#define UDM_CONTEXT_INFO_INIT \
  { sizeof(udm_context_info), 0, 0, 0, UDM_IMAGE_NONE, 0, 0 }
UDM_API udm_status udm_get_context_info(const udm_context *ctx, udm_context_info *info);
#define UDM_OUTPUTS_PER_BACKEND 7
#define UDM_MAX_DIRECT_BACKENDS 3
#define UDM_MAX_BACKENDS 8
typedef struct udm_backend_outputs {
  CUdeviceptr cache_seqlens;
  CUdeviceptr cu_seqlens_k;
  CUdeviceptr page_table_1;
  CUdeviceptr nsa_cache_seqlens;
  CUdeviceptr nsa_cu_seqlens_k;
  CUdeviceptr real_page_table;
  CUdeviceptr seqlens_expanded;
} udm_backend_outputs;
typedef enum udm_extent { UDM_EXTENT_ROW = 0, UDM_EXTENT_BATCH_MAX = 1 } udm_extent;
typedef enum udm_int_type { UDM_INT32 = 0, UDM_INT64 = 1 } udm_int_type;
typedef struct udm_decode_args {
  size_t struct_size;
  CUdeviceptr seq_lens;
  CUdeviceptr req_pool_indices;
  CUdeviceptr req_to_token;
  udm_int_type seq_lens_type;
  udm_int_type req_pool_indices_type;
  int64_t req_to_token_stride;
  int64_t page_table_stride;
  int64_t real_page_table_stride;
  int32_t batch_size;
  int32_t max_len;
  int32_t num_backends;
  int32_t nsa_index_topk;
  int32_t real_page_size;
  udm_extent extent;
  udm_backend_outputs backends[UDM_MAX_BACKENDS];
} udm_decode_args;
#define UDM_DECODE_ARGS_INIT                                                        \
  {                                                                                 \
    sizeof(udm_decode_args), 0, 0, 0, UDM_INT32, UDM_INT32, 0, 0, 0, 0, 0, 0, 0, 1, \
        UDM_EXTENT_ROW, {                                                           \
      { 0, 0, 0, 0, 0, 0, 0 }                                                       \
    }                                                                               \
  }
UDM_API udm_status udm_decode_metadata_direct(udm_context *ctx, const udm_decode_args *args,
                                              CUstream stream);
UDM_API udm_status udm_decode_metadata_table(udm_context *ctx, const udm_decode_args *args,
                                             CUdeviceptr backend_pointers,
                                             int64_t backend_pointers_stride, CUstream stream);
UDM_API udm_status udm_decode_metadata_reference(const udm_decode_args *args);
#define UDM_PATH_SIZE 4096
typedef struct udm_driver_info {
  size_t struct_size;
  int32_t version;
  int32_t device_count;
  char path[UDM_PATH_SIZE];
} udm_driver_info;
UDM_API udm_status udm_query_driver(const udm_options *options, udm_driver_info *info);
typedef struct udm_device_info {
  size_t struct_size;
  int32_t arch;
  int32_t multiprocessor_count;
  uint64_t memory_bytes;
  char name[256];
} udm_device_info;
UDM_API udm_status udm_query_device(const udm_options *options, int32_t ordinal,
                                    udm_device_info *info);
UDM_API udm_status udm_driver_symbol(const udm_options *options, const char *name, void **symbol);
#define UDM_MAX_ARCHS 64
typedef struct udm_nvrtc_info {
  size_t struct_size;
  int32_t version_major;
  int32_t version_minor;
  int32_t arch_count;
  int32_t archs[UDM_MAX_ARCHS];
  char path[UDM_PATH_SIZE];
} udm_nvrtc_info;
UDM_API udm_status udm_query_nvrtc(const udm_options *options, udm_nvrtc_info *info);
typedef struct udm_image_plan {
  size_t struct_size;
  udm_image_source source;
  int32_t image_arch;
  char detail[UDM_PATH_SIZE];
} udm_image_plan;
UDM_API udm_status udm_plan_image(const udm_options *options, int32_t arch, udm_image_plan *plan);
#define UDM_PREWARM_FORCE 0x1u
typedef struct udm_prewarm_result {
  size_t struct_size;
  int32_t compiled;
  double compile_ms;
  size_t bytes;
  char path[UDM_PATH_SIZE];
} udm_prewarm_result;
UDM_API udm_status udm_prewarm(const udm_options *options, int32_t arch, uint32_t flags,
                               udm_prewarm_result *result);
typedef struct udm_cache_layer_info {
  size_t struct_size;
  int32_t writable;
  int32_t usable;
  char path[UDM_PATH_SIZE];
  char reason[256];
} udm_cache_layer_info;
UDM_API udm_status udm_query_cache_layer(const udm_options *options, int32_t layer,
                                         udm_cache_layer_info *info);
typedef enum udm_cache_entry_state {
  UDM_CACHE_ENTRY_OK = 0,
  UDM_CACHE_ENTRY_STALE = 1,
  UDM_CACHE_ENTRY_BAD = 2
} udm_cache_entry_state;
UDM_API const char *udm_cache_entry_state_name(udm_cache_entry_state state);
typedef struct udm_cache_entry_info {
  size_t struct_size;
  int32_t layer;
  int32_t arch;
  udm_cache_entry_state state;
  uint64_t bytes;
  const char *path;
  const char *reason;
} udm_cache_entry_info;
typedef int (*udm_cache_entry_callback)(void *user_data, const udm_cache_entry_info *entry);
UDM_API udm_status udm_cache_enumerate(const udm_options *options,
                                       udm_cache_entry_callback callback, void *user_data);
#ifdef __cplusplus
}
#endif
#endif
