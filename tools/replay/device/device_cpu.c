/*
 * device_cpu.c: the CPU as a device of the replay: CPU memory, and the C reference in place of the
 * kernel.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "numbers/clock.h"

enum { NUM_SMS = 132 }; /* as an H100 or H200 */

struct device_cpu {
  struct replay_device base;
  struct launch_time latest;
};

/* The memory that the system has left; UINT64_MAX if it does not say. */
static uint64_t available_memory(void) {
  uint64_t available = UINT64_MAX;
  char line[128];
  FILE *file = fopen("/proc/meminfo", "r");
  if (!file) return available;
  while (fgets(line, sizeof line, file)) {
    uint64_t kilobytes;
    if (sscanf(line, "MemAvailable: %" SCNu64, &kilobytes) == 1) available = kilobytes * 1024;
  }
  fclose(file);
  return available;
}

static CUdeviceptr cpu_allocate(struct replay_device *device, size_t bytes) {
  if (device->error[0]) return 0;
  /* malloc may promise memory that the system lacks, and the system kills us later: ask first */
  void *memory = NULL;
  if (bytes > available_memory() || posix_memalign(&memory, 256, bytes) != 0) {
    snprintf(device->error, sizeof device->error, "%zu bytes of host memory are not available",
             bytes);
    return 0;
  }
  return (CUdeviceptr)(uintptr_t)memory;
}

static void cpu_release(struct replay_device *device, CUdeviceptr memory) {
  (void)device;
  free((void *)(uintptr_t)memory);
}

static void *cpu_allocate_staging(struct replay_device *device, size_t bytes) {
  return (void *)(uintptr_t)cpu_allocate(device, bytes);
}

static void cpu_release_staging(struct replay_device *device, void *memory) {
  (void)device;
  free(memory);
}

static void cpu_fill(struct replay_device *device, CUdeviceptr to, int32_t value, size_t count) {
  if (device->error[0]) return;
  int32_t *elements = (int32_t *)(uintptr_t)to;
  for (size_t i = 0; i < count; ++i) elements[i] = value;
}

static void cpu_write(struct replay_device *device, CUdeviceptr to, const void *from,
                      size_t bytes) {
  if (!device->error[0]) memcpy((void *)(uintptr_t)to, from, bytes);
}

static const int32_t *cpu_view(struct replay_device *device, CUdeviceptr from, size_t count,
                               int32_t *staging) {
  (void)device;
  (void)count;
  (void)staging;
  return (const int32_t *)(uintptr_t)from;
}

static void cpu_launch(struct replay_device *device, const udm_decode_args *args,
                       CUdeviceptr backend_pointers) {
  (void)backend_pointers; /* the reference takes up to eight backends in args */
  if (device->error[0]) return;
  const double start = clock_microseconds();
  const udm_status status = udm_decode_metadata_reference(args);
  ((struct device_cpu *)device)->latest = (struct launch_time){clock_microseconds() - start, -1};
  if (status != UDM_OK) snprintf(device->error, sizeof device->error, "%s", udm_last_error());
}

static void cpu_wait(struct replay_device *device) { (void)device; }

static struct launch_time cpu_time(struct replay_device *device) {
  return ((struct device_cpu *)device)->latest;
}

static void cpu_destroy(struct replay_device *device) { free(device); }

static const struct device_operations operations = {
    cpu_allocate,
    cpu_release,
    cpu_allocate_staging,
    cpu_release_staging,
    cpu_fill,
    cpu_write,
    cpu_view,
    cpu_launch,
    cpu_wait,
    cpu_time,
    cpu_destroy,
};

struct replay_device *device_cpu_create(void) {
  struct device_cpu *created = calloc(1, sizeof *created);
  if (!created) return NULL;
  created->base.operations = &operations;
  created->base.name = "cpu";
  created->base.is_reference = true;
  created->base.num_sms = NUM_SMS;
  snprintf(created->base.title, sizeof created->base.title, "CPU, the C reference");
  return &created->base;
}
