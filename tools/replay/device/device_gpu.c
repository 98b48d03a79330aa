/*
 * device_gpu.c: a GPU as a device of the replay: makes driver calls on one stream.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "device.h"
#include "gpu/gpu_session.h"
#include "numbers/clock.h"

/*
 * The GPU fills this memory before every timed launch. Meanwhile the host enqueues the launch and
 * the second event, so the time between the events has no host time in it. The fill also leaves the
 * L2 cache full of other data, as a model would.
 */
static const size_t queue_ahead_bytes = (size_t)32 << 20;

struct device_gpu {
  struct replay_device base;
  struct gpu_session session;
  CUevent before;
  CUevent after;
  CUdeviceptr queue_ahead;
  double host_us;
};

static const struct cuda_driver *driver_of(struct replay_device *device) {
  return &((struct device_gpu *)device)->session.driver;
}

static CUstream stream_of(struct replay_device *device) {
  return ((struct device_gpu *)device)->session.stream;
}

/* Returns whether the call succeeded. Keeps the first error. */
static bool good(struct replay_device *device, const char *call, CUresult result) {
  if (result == CUDA_SUCCESS) return true;
  if (!device->error[0]) {
    snprintf(device->error, sizeof device->error, "%s failed with %s", call,
             cuda_driver_error(driver_of(device), result));
  }
  return false;
}

static CUdeviceptr gpu_allocate(struct replay_device *device, size_t bytes) {
  CUdeviceptr memory = 0;
  if (device->error[0]) return 0;
  if (!good(device, "cuMemAlloc", driver_of(device)->cuMemAlloc_v2(&memory, bytes))) return 0;
  return memory;
}

static void gpu_release(struct replay_device *device, CUdeviceptr memory) {
  if (memory) good(device, "cuMemFree", driver_of(device)->cuMemFree_v2(memory));
}

static void *gpu_allocate_staging(struct replay_device *device, size_t bytes) {
  void *memory = NULL;
  if (device->error[0]) return NULL;
  const CUresult result = driver_of(device)->cuMemAllocHost_v2(&memory, bytes);
  return good(device, "cuMemAllocHost", result) ? memory : NULL;
}

static void gpu_release_staging(struct replay_device *device, void *memory) {
  if (memory) good(device, "cuMemFreeHost", driver_of(device)->cuMemFreeHost(memory));
}

static void gpu_fill(struct replay_device *device, CUdeviceptr to, int32_t value, size_t count) {
  if (device->error[0] || count == 0) return;
  good(device, "cuMemsetD32Async",
       driver_of(device)->cuMemsetD32Async(to, (unsigned int)value, count, stream_of(device)));
}

static void gpu_write(struct replay_device *device, CUdeviceptr to, const void *from,
                      size_t bytes) {
  if (device->error[0] || bytes == 0) return;
  good(device, "cuMemcpyHtoDAsync",
       driver_of(device)->cuMemcpyHtoDAsync_v2(to, from, bytes, stream_of(device)));
}

static const int32_t *gpu_view(struct replay_device *device, CUdeviceptr from, size_t count,
                               int32_t *staging) {
  if (!device->error[0] && count > 0) {
    good(device, "cuMemcpyDtoHAsync",
         driver_of(device)->cuMemcpyDtoHAsync_v2(staging, from, count * sizeof *staging,
                                                 stream_of(device)));
  }
  return staging;
}

static void gpu_launch(struct replay_device *device, const udm_decode_args *args,
                       CUdeviceptr backend_pointers) {
  struct device_gpu *gpu = (struct device_gpu *)device;
  const struct cuda_driver *driver = driver_of(device);
  const CUstream stream = stream_of(device);
  gpu_fill(device, gpu->queue_ahead, 0, queue_ahead_bytes / sizeof(int32_t));
  if (device->error[0]) return;
  if (!good(device, "cuEventRecord", driver->cuEventRecord(gpu->before, stream))) return;
  const double start = clock_microseconds();
  const udm_status status =
      backend_pointers ? udm_decode_metadata_table(gpu->session.udm, args, backend_pointers,
                                                   args->num_backends, stream)
                       : udm_decode_metadata_direct(gpu->session.udm, args, stream);
  gpu->host_us = clock_microseconds() - start;
  good(device, "cuEventRecord", driver->cuEventRecord(gpu->after, stream));
  if (status != UDM_OK) snprintf(device->error, sizeof device->error, "%s", udm_last_error());
}

static void gpu_wait(struct replay_device *device) {
  if (device->error[0]) return;
  good(device, "cuStreamSynchronize", driver_of(device)->cuStreamSynchronize(stream_of(device)));
}

static struct launch_time gpu_time(struct replay_device *device) {
  const struct device_gpu *gpu = (struct device_gpu *)device;
  float milliseconds = 0;
  if (!device->error[0]) {
    good(device, "cuEventElapsedTime",
         driver_of(device)->cuEventElapsedTime(&milliseconds, gpu->before, gpu->after));
  }
  return (struct launch_time){gpu->host_us, 1e3 * (double)milliseconds};
}

static void gpu_destroy(struct replay_device *device) {
  struct device_gpu *gpu = (struct device_gpu *)device;
  const struct cuda_driver *driver = driver_of(device);
  if (gpu->queue_ahead) driver->cuMemFree_v2(gpu->queue_ahead);
  if (gpu->before) driver->cuEventDestroy_v2(gpu->before);
  if (gpu->after) driver->cuEventDestroy_v2(gpu->after);
  gpu_session_close(&gpu->session);
  free(gpu);
}

static const struct device_operations operations = {
    gpu_allocate,
    gpu_release,
    gpu_allocate_staging,
    gpu_release_staging,
    gpu_fill,
    gpu_write,
    gpu_view,
    gpu_launch,
    gpu_wait,
    gpu_time,
    gpu_destroy,
};

struct replay_device *device_gpu_create(const udm_options *options, int32_t ordinal, char *error,
                                        size_t error_size) {
  struct device_gpu *gpu = calloc(1, sizeof *gpu);
  if (!gpu) {
    snprintf(error, error_size, "out of memory");
    return NULL;
  }
  struct replay_device *created = &gpu->base;
  created->operations = &operations;
  created->name = "gpu";
  created->needs_staging = true;
  if (!gpu_session_open(&gpu->session, options, ordinal, error, error_size)) {
    free(gpu);
    return NULL;
  }
  const struct cuda_driver *driver = driver_of(created);
  created->num_sms = gpu->session.info.multiprocessor_count;
  snprintf(created->title, sizeof created->title, "GPU %d, %s, sm_%d, image from %s", ordinal,
           gpu->session.name, gpu->session.info.device_arch,
           udm_image_source_name(gpu->session.info.image_source));
  good(created, "cuEventCreate", driver->cuEventCreate(&gpu->before, CU_EVENT_DEFAULT));
  good(created, "cuEventCreate", driver->cuEventCreate(&gpu->after, CU_EVENT_DEFAULT));
  gpu->queue_ahead = gpu_allocate(created, queue_ahead_bytes);
  if (!created->error[0]) return created;
  snprintf(error, error_size, "%s", created->error);
  gpu_destroy(created);
  return NULL;
}
