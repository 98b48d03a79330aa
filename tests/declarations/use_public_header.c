/*
 * use_public_header.c: includes the public header as a user might, uses every
 * initialiser and states the pinned values. Compiled as C and as C++.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifdef CUDA_H_BEFORE
#include <cuda.h>
#endif
#include "udm.h"
#ifdef CUDA_H_AFTER
#include <cuda.h>
#endif

#ifdef __cplusplus
#define CHECK(condition) static_assert(condition, #condition)
#else
#define CHECK(condition) _Static_assert(condition, #condition)
#endif

CHECK(UDM_OK == 0);
CHECK(UDM_ERROR_INVALID_ARGUMENT == 1);
CHECK(UDM_ERROR_OUT_OF_MEMORY == 2);
CHECK(UDM_ERROR_NO_DRIVER == 3);
CHECK(UDM_ERROR_NO_DEVICE == 4);
CHECK(UDM_ERROR_NO_CURRENT_CONTEXT == 5);
CHECK(UDM_ERROR_DRIVER == 6);
CHECK(UDM_ERROR_NO_NVRTC == 7);
CHECK(UDM_ERROR_COMPILE == 8);
CHECK(UDM_ERROR_UNSUPPORTED_ARCH == 9);
CHECK(UDM_ERROR_NO_IMAGE == 10);
CHECK(UDM_ERROR_CACHE == 11);
CHECK(UDM_ERROR_NOT_FOUND == 12);
CHECK(UDM_ERROR_CAPTURE == 13);
CHECK(UDM_ERROR_CANCELLED == 14);
CHECK(UDM_IMAGE_NONE == 0);
CHECK(UDM_IMAGE_CACHE == 1);
CHECK(UDM_IMAGE_READ_ONLY_LAYER == 2);
CHECK(UDM_IMAGE_NVRTC == 3);
CHECK(UDM_IMAGE_NVRTC_PTX == 4);
CHECK(UDM_IMAGE_SHIPPED_PTX == 5);
CHECK(UDM_LIBRARY_DRIVER == 0);
CHECK(UDM_LIBRARY_NVRTC == 1);

CHECK(UDM_ACTIVITY_WAITING == 0);
CHECK(UDM_ACTIVITY_COMPILING == 1);
CHECK(UDM_EXTENT_ROW == 0);
CHECK(UDM_EXTENT_BATCH_MAX == 1);
CHECK(UDM_INT32 == 0);
CHECK(UDM_INT64 == 1);
CHECK(UDM_CACHE_ENTRY_OK == 0);
CHECK(UDM_CACHE_ENTRY_STALE == 1);
CHECK(UDM_CACHE_ENTRY_BAD == 2);

/* The seven pointers follow each other in the contract's order, without gaps. */
CHECK(sizeof(udm_backend_outputs) == UDM_OUTPUTS_PER_BACKEND * sizeof(CUdeviceptr));
CHECK(offsetof(udm_backend_outputs, page_table_1) == 2 * sizeof(CUdeviceptr));
CHECK(offsetof(udm_backend_outputs, real_page_table) == 5 * sizeof(CUdeviceptr));
CHECK(sizeof(udm_status) == sizeof(int));

int use_public_header(CUcontext current, CUstream stream);

int use_public_header(CUcontext current, CUstream stream) {
  udm_options options = UDM_OPTIONS_INIT;
  udm_context_info info = UDM_CONTEXT_INFO_INIT;
  udm_decode_args args = UDM_DECODE_ARGS_INIT;
  udm_cache_prune_options rules = UDM_CACHE_PRUNE_OPTIONS_INIT;
  udm_kernel_launch launch = UDM_KERNEL_LAUNCH_INIT;
  udm_context *context = NULL;
  udm_status status = current ? udm_create(&options, &context) : UDM_ERROR_NO_CURRENT_CONTEXT;
  if (status == UDM_OK) status = udm_get_context_info(context, &info);
  if (status == UDM_OK) status = udm_decode_metadata_direct(context, &args, stream);
  if (status == UDM_OK) status = udm_cache_prune(&options, &rules, NULL, NULL, NULL);
  if (status == UDM_OK) status = udm_prepare_direct(context, &args, &launch);
  udm_destroy(context);
  return args.struct_size == sizeof args && args.real_page_size == 1 ? (int)status : -1;
}
