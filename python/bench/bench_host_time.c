/*
 * bench_host_time.c: times cuLaunchKernel from C, for bench_host_time.py,
 * which compiles and loads it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdint.h>
#include <time.h>

typedef int launch_function(void *function, unsigned int grid_x, unsigned int grid_y,
                            unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                            unsigned int block_z, unsigned int shared_bytes, void *stream,
                            void **parameters, void **extra);

/* Nanoseconds per call; negative: the driver's error. */
double time_raw_launches(launch_function *launch, void *function, unsigned int grid,
                         unsigned int block, void *stream, void **parameters, int calls);

double time_raw_launches(launch_function *launch, void *function, unsigned int grid,
                         unsigned int block, void *stream, void **parameters, int calls) {
  struct timespec begin;
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (int i = 0; i < calls; ++i) {
    const int result = launch(function, grid, 1, 1, block, 1, 1, 0, stream, parameters, (void **)0);
    if (result != 0) return -(double)result;
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  return ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) /
         calls;
}
