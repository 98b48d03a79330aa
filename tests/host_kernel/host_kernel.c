/*
 * host_kernel.c: copies the parameters once, then runs every block of the grid in
 * a seeded random order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "host_kernel.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block_scheduler.h"
#include "faults.h"

enum { PARAMETER_BYTES = 4096, PARAMETER_ALIGNMENT = 16 };

/* The scheduler, the built-in variables and shared memory exist once. */
static pthread_mutex_t launch_lock = PTHREAD_MUTEX_INITIALIZER;

static bool copy_parameters(const struct host_kernel *kernel, void *const *parameters,
                            unsigned char *values, void **copies, char *text) {
  size_t used = 0;
  for (size_t p = 0; p < kernel->parameter_count; ++p) {
    const size_t size = kernel->parameter_sizes[p];
    if (!parameters[p] || used + size > PARAMETER_BYTES) {
      snprintf(text, HOST_KERNEL_TEXT_SIZE, "%s: parameter %zu is null or one too many",
               kernel->name, p);
      return false;
    }
    copies[p] = memcpy(values + used, parameters[p], size);
    used += (size + PARAMETER_ALIGNMENT - 1) / PARAMETER_ALIGNMENT * PARAMETER_ALIGNMENT;
  }
  return true;
}

/* The numbers 0 to count - 1, shuffled. */
static uint32_t *draw_order(uint64_t count, uint64_t *random) {
  uint32_t *order = calloc(count, sizeof *order);
  if (!order) return NULL;
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t j = block_scheduler_random(random) % (i + (uint64_t)1);
    order[i] = order[j];
    order[j] = i;
  }
  return order;
}

static bool run_grid(const struct host_kernel *kernel, void *const *parameters, uint64_t seed,
                     char *text) {
  const uint64_t row = gridDim.x;
  const uint64_t plane = row * gridDim.y;
  const uint64_t count = plane * gridDim.z;
  bool done = true;
  uint32_t *order = draw_order(count, &seed);
  if (!order) {
    snprintf(text, HOST_KERNEL_TEXT_SIZE, "out of memory for a grid of %llu blocks",
             (unsigned long long)count);
    return false;
  }
  for (uint64_t i = 0; i < count && done; ++i) {
    blockIdx.x = (uint32_t)(order[i] % row);
    blockIdx.y = (uint32_t)(order[i] / row % gridDim.y);
    blockIdx.z = (uint32_t)(order[i] / plane);
    done = block_scheduler_run(kernel, parameters, block_scheduler_random(&seed), text);
  }
  free(order);
  return done;
}

static bool is_legal(struct host_kernel_dim3 grid, struct host_kernel_dim3 block) {
  const uint64_t blocks = (uint64_t)grid.x * grid.y; /* each below 2^32 */
  const uint64_t threads = (uint64_t)block.x * block.y;
  return grid.z > 0 && blocks > 0 && blocks <= UINT32_MAX / grid.z && block.z > 0 && threads > 0 &&
         threads <= HOST_KERNEL_MAX_THREADS / block.z;
}

bool host_kernel_launch(const struct host_kernel *kernel, struct host_kernel_dim3 grid,
                        struct host_kernel_dim3 block, void *const *parameters, uint64_t seed,
                        char *text) {
  _Alignas(PARAMETER_ALIGNMENT) unsigned char values[PARAMETER_BYTES];
  void *copies[HOST_KERNEL_MAX_PARAMETERS];
  text[0] = '\0';
  if (!is_legal(grid, block)) {
    snprintf(text, HOST_KERNEL_TEXT_SIZE, "%s: grid %u %u %u or block %u %u %u is out of range",
             kernel->name, grid.x, grid.y, grid.z, block.x, block.y, block.z);
    return false;
  }
  if (!copy_parameters(kernel, parameters, values, copies, text)) return false;
  pthread_mutex_lock(&launch_lock);
  gridDim = grid;
  blockDim = block;
  faults_begin(kernel->name);
  const bool done = block_scheduler_prepare(text) && run_grid(kernel, copies, seed, text);
  faults_end();
  pthread_mutex_unlock(&launch_lock);
  return done;
}
