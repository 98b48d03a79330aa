/*
 * The floor kernels on a GPU: see floors.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "floors.h"

#include <stdio.h>
#include <stdlib.h>

#include "nvrtc_compile.h"
#include "kernel_params.h"

/* Made by cmake/embed.cmake from floor_kernels.cu. */
extern const unsigned char udm_bench_source[];

#define COUNT_ONE(type, name) +1
enum {
  THREADS = 512,
  VECTORS_IN_FLIGHT = 4,
  TILE = THREADS * VECTORS_IN_FLIGHT,
  BLOCKS_PER_MULTIPROCESSOR = 4,
  PARAMETERS = 0 UDM_KERNEL_SCALARS(COUNT_ONE) + UDM_KERNEL_DIRECT_BACKENDS * UDM_KERNEL_OUTPUTS
};

static CUresult load(struct bench_floors *floors, const struct cuda_driver *driver,
                     const unsigned char *cubin) {
  CUresult result = driver->cuModuleLoadDataEx(&floors->module, cubin, 0, NULL, NULL);
  if (result == CUDA_SUCCESS) {
    result = driver->cuModuleGetFunction(&floors->empty, floors->module, "udm_bench_empty");
  }
  if (result == CUDA_SUCCESS) {
    result = driver->cuModuleGetFunction(&floors->empty_general, floors->module,
                                         "udm_bench_empty_general");
  }
  if (result == CUDA_SUCCESS) {
    result = driver->cuModuleGetFunction(&floors->copy, floors->module, "udm_bench_copy");
  }
  if (result == CUDA_SUCCESS) {
    result = driver->cuModuleGetFunction(&floors->sweep, floors->module, "udm_bench_sweep");
  }
  return result;
}

static CUresult prepare_sweep(struct bench_floors *floors, const struct gpu_session *session) {
  const struct cuda_driver *driver = &session->driver;
  int cache_bytes = 0;
  CUresult result = driver->cuDeviceGetAttribute(&cache_bytes, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE,
                                                 session->device);
  if (result != CUDA_SUCCESS) return result;
  const size_t bytes = 4 * (size_t)cache_bytes / 16 * 16;
  floors->swept_vectors = (int64_t)(bytes / 16);
  result = driver->cuMemAlloc_v2(&floors->swept, bytes + 16);
  if (result == CUDA_SUCCESS) {
    result = driver->cuMemsetD32Async(floors->swept, 0x01020304, bytes / 4, session->stream);
  }
  if (result == CUDA_SUCCESS) result = driver->cuMemAlloc_v2(&floors->sink, 4);
  return result;
}

bool bench_floors_open(struct bench_floors *floors, const struct gpu_session *session,
                       const udm_options *options, char *reason, size_t reason_size) {
  unsigned char *cubin = NULL;
  *floors = (struct bench_floors){.multiprocessors = (unsigned)session->info.multiprocessor_count};
  if (!nvrtc_compile(options, (const char *)udm_bench_source, session->info.device_arch, &cubin,
                     reason, reason_size)) {
    return false;
  }
  CUresult result = load(floors, &session->driver, cubin);
  free(cubin);
  if (result == CUDA_SUCCESS) result = prepare_sweep(floors, session);
  if (result == CUDA_SUCCESS) return true;
  snprintf(reason, reason_size, "the floor kernels cannot be loaded: %s",
           cuda_driver_error(&session->driver, result));
  bench_floors_close(floors, session);
  return false;
}

void bench_floors_close(struct bench_floors *floors, const struct gpu_session *session) {
  const struct cuda_driver *driver = &session->driver;
  if (floors->swept) driver->cuMemFree_v2(floors->swept);
  if (floors->sink) driver->cuMemFree_v2(floors->sink);
  if (floors->module) driver->cuModuleUnload(floors->module);
  *floors = (struct bench_floors){.module = NULL};
}

CUresult bench_launch_empty(const struct bench_floors *floors, const struct gpu_session *session,
                            int64_t backends) {
  static const udm_backend_outputs zeros[UDM_MAX_BACKENDS]; /* of any parameter */
  void *parameters[PARAMETERS];
  for (int p = 0; p < PARAMETERS; ++p) parameters[p] = (void *)(uintptr_t)zeros;
  const CUfunction empty = backends <= UDM_KERNEL_DIRECT_BACKENDS ? floors->empty : floors->empty_general;
  return session->driver.cuLaunchKernel(empty, 1, 1, 1, 256, 1, 1, 0, session->stream, parameters,
                                        NULL);
}

CUresult bench_launch_sweep(const struct bench_floors *floors, const struct gpu_session *session) {
  struct bench_floors copy = *floors;
  void *parameters[] = {&copy.swept, &copy.swept_vectors, &copy.sink};
  return session->driver.cuLaunchKernel(floors->sweep,
                                        floors->multiprocessors * BLOCKS_PER_MULTIPROCESSOR, 1, 1,
                                        THREADS, 1, 1, 0, session->stream, parameters, NULL);
}

CUresult bench_launch_copy(const struct bench_floors *floors, const struct gpu_session *session,
                           CUdeviceptr from, const struct bench_targets *to, int64_t elements) {
  struct bench_targets targets = *to;
  int64_t vectors = (elements + 3) / 4;
  void *parameters[] = {&from, targets.tables, &targets.count, &vectors};
  const int64_t tiles = (vectors - 1) / TILE + 1;
  const int64_t most = (int64_t)floors->multiprocessors * BLOCKS_PER_MULTIPROCESSOR;
  return session->driver.cuLaunchKernel(floors->copy, (unsigned)(tiles < most ? tiles : most), 1, 1,
                                        THREADS, 1, 1, 0, session->stream, parameters, NULL);
}
