/*
 * lower_bounds.c: loads and launches the kernels of the lower bounds: see lower_bounds.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lower_bounds.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernel_params.h"
#include "nvrtc/nvrtc_compile.h"

/* Made by cmake/embed.cmake from lower_bound_kernels.cu. */
extern const unsigned char udm_bench_source[];

#define COUNT_ONE(type, name) +1
#define COUNT_OUTPUT(name) +1
enum {
  THREADS = 512,
  VECTOR = 16, /* bytes */
  VECTORS_IN_FLIGHT = 4,
  TILE = THREADS * VECTORS_IN_FLIGHT,
  BLOCKS_PER_MULTIPROCESSOR = 4,
  PARAMETERS = 0 UDM_KERNEL_SCALARS(COUNT_ONE) +
               UDM_KERNEL_DIRECT_BACKENDS * (0 UDM_KERNEL_DIRECT_OUTPUTS(COUNT_OUTPUT)) + 1
};

static CUresult load(struct lower_bounds *bounds, const struct cuda_driver *driver,
                     const unsigned char *cubin) {
  CUresult result = driver->cuModuleLoadDataEx(&bounds->module, cubin, 0, NULL, NULL);
  if (result == CUDA_SUCCESS) {
    result = driver->cuModuleGetFunction(&bounds->empty, bounds->module, "udm_bench_empty");
  }
  if (result == CUDA_SUCCESS) {
    result = driver->cuModuleGetFunction(&bounds->empty_general, bounds->module,
                                         "udm_bench_empty_general");
  }
  if (result == CUDA_SUCCESS) {
    result = driver->cuModuleGetFunction(&bounds->copy, bounds->module, "udm_bench_copy");
  }
  if (result == CUDA_SUCCESS) {
    result = driver->cuModuleGetFunction(&bounds->sweep, bounds->module, "udm_bench_sweep");
  }
  return result;
}

static CUresult prepare_sweep(struct lower_bounds *bounds, const struct gpu_session *session) {
  const struct cuda_driver *driver = &session->driver;
  int cache_bytes = 0;
  CUresult result = driver->cuDeviceGetAttribute(&cache_bytes, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE,
                                                 session->device);
  if (result != CUDA_SUCCESS) return result;
  const size_t bytes = 4 * (size_t)cache_bytes / 16 * 16;
  bounds->swept_vectors = (int64_t)(bytes / 16);
  result = driver->cuMemAlloc_v2(&bounds->swept, bytes + 16);
  if (result == CUDA_SUCCESS) {
    result = driver->cuMemsetD32Async(bounds->swept, 0x01020304, bytes / 4, session->stream);
  }
  if (result == CUDA_SUCCESS) result = driver->cuMemAlloc_v2(&bounds->sink, 4);
  return result;
}

bool lower_bounds_open(struct lower_bounds *bounds, const struct gpu_session *session,
                       const udm_options *options, char *reason, size_t reason_size) {
  unsigned char *cubin = NULL;
  *bounds = (struct lower_bounds){.multiprocessors = (unsigned)session->info.multiprocessor_count};
  if (!nvrtc_compile(options, (const char *)udm_bench_source, session->info.device_arch, &cubin,
                     reason, reason_size)) {
    return false;
  }
  CUresult result = load(bounds, &session->driver, cubin);
  free(cubin);
  if (result == CUDA_SUCCESS) result = prepare_sweep(bounds, session);
  if (result == CUDA_SUCCESS) return true;
  snprintf(reason, reason_size, "the driver cannot load the lower bounds' kernels: %s",
           cuda_driver_error(&session->driver, result));
  lower_bounds_close(bounds, session);
  return false;
}

void lower_bounds_close(struct lower_bounds *bounds, const struct gpu_session *session) {
  const struct cuda_driver *driver = &session->driver;
  if (bounds->swept) driver->cuMemFree_v2(bounds->swept);
  if (bounds->sink) driver->cuMemFree_v2(bounds->sink);
  if (bounds->module) driver->cuModuleUnload(bounds->module);
  *bounds = (struct lower_bounds){.module = NULL};
}

CUresult bench_launch_empty(const struct lower_bounds *bounds, const struct gpu_session *session,
                            int64_t backends) {
  static const struct udm_kernel_general
      zeros; /* the value of every parameter: this is the largest */
  void *parameters[PARAMETERS];
  for (int p = 0; p < PARAMETERS; ++p) parameters[p] = (void *)(uintptr_t)&zeros;
  const CUfunction empty =
      backends <= UDM_KERNEL_DIRECT_BACKENDS ? bounds->empty : bounds->empty_general;
  return session->driver.cuLaunchKernel(empty, 1, 1, 1, 256, 1, 1, 0, session->stream, parameters,
                                        NULL);
}

CUresult bench_launch_sweep(const struct lower_bounds *bounds, const struct gpu_session *session) {
  struct lower_bounds copy = *bounds;
  void *parameters[] = {&copy.swept, &copy.swept_vectors, &copy.sink};
  return session->driver.cuLaunchKernel(bounds->sweep,
                                        bounds->multiprocessors * BLOCKS_PER_MULTIPROCESSOR, 1, 1,
                                        THREADS, 1, 1, 0, session->stream, parameters, NULL);
}

/* The targets of a copy: copy_targets and their count in lower_bound_kernels.cu. */
struct targets {
  CUdeviceptr tables[UDM_MAX_BACKENDS];
  int32_t count;
};

/* Copies elements of 4 bytes, rounded up to 16 bytes, from one place to every target. */
static CUresult launch_copy(const struct lower_bounds *bounds, const struct gpu_session *session,
                            CUdeviceptr from, struct targets to, int64_t elements) {
  int64_t vectors = (elements + 3) / 4;
  void *parameters[] = {&from, to.tables, &to.count, &vectors};
  const int64_t tiles = (vectors - 1) / TILE + 1;
  const int64_t most = (int64_t)bounds->multiprocessors * BLOCKS_PER_MULTIPROCESSOR;
  return session->driver.cuLaunchKernel(bounds->copy, (unsigned)(tiles < most ? tiles : most), 1, 1,
                                        THREADS, 1, 1, 0, session->stream, parameters, NULL);
}

CUresult bench_launch_copies(const struct lower_bounds *bounds,
                             const struct bench_workload *workload) {
  CUresult result = CUDA_SUCCESS;
  for (int c = 0; c < workload->call_count && result == CUDA_SUCCESS; ++c) {
    const udm_decode_args *args = &workload->calls[c];
    const bool pages = !args->backends[0].page_table_1;
    const int64_t stride = pages ? args->real_page_table_stride : args->page_table_stride;
    const int equal_rows = args->flags & UDM_ROW_PER_REQUEST ? 1 : bench_tokens_per_request(args);
    struct targets to = {.count = 0};
    for (int b = 0; b < args->num_backends; ++b) {
      const udm_backend_outputs *outputs = &args->backends[b];
      const CUdeviceptr table = pages ? outputs->real_page_table : outputs->page_table_1;
      for (int j = 0; j < equal_rows && to.count < UDM_MAX_BACKENDS; ++j) {
        to.tables[to.count++] = table + (CUdeviceptr)((int64_t)j * args->batch_size * stride) * 4;
      }
    }
    const CUdeviceptr from = args->req_to_token / VECTOR * VECTOR;
    result = launch_copy(bounds, workload->session, from, to,
                         pages ? workload->pages : workload->tokens);
  }
  return result;
}
