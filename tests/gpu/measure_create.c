/*
 * measure_create.c: the cost of udm_create on this machine's GPU, cold and warm, beside its lower
 * bound: reading the cached cubin and loading it, by either call of the driver. Not a test: it
 * prints numbers, one name and value per line.
 *
 *     measure_create [REPETITIONS]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_driver.h"
#include "numbers/clock.h"
#include "udm.h"

enum { MOST = 1000, KERNELS = 2, DIRECT = 0 };

static const char *const kernels[KERNELS] = {"udm_decode_metadata_direct",
                                             "udm_decode_metadata_general"};

/* The calls that only this program makes. NULL if the driver lacks them. */
struct loading {
  cuModuleLoadDataEx_function *load_module;
  cuModuleGetFunction_function *module_function;
  cuModuleUnload_function *unload_module;
  cuLibraryLoadData_function *load_library;
  cuLibraryGetKernel_function *library_kernel;
  cuKernelGetFunction_function *kernel_function;
  cuLibraryUnload_function *unload_library;
};

static void find(const char *name, void *function) {
  void *address = NULL;
  if (udm_driver_symbol(NULL, name, &address) != UDM_OK) address = NULL;
  memcpy(function, &address, sizeof address);
}

static void find_all(struct loading *calls) {
  find("cuModuleLoadDataEx", &calls->load_module);
  find("cuModuleGetFunction", &calls->module_function);
  find("cuModuleUnload", &calls->unload_module);
  find("cuLibraryLoadData", &calls->load_library);
  find("cuLibraryGetKernel", &calls->library_kernel);
  find("cuKernelGetFunction", &calls->kernel_function);
  find("cuLibraryUnload", &calls->unload_library);
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a;
  const double y = *(const double *)b;
  return (x > y) - (x < y);
}

static double print_median(const char *name, double *times, int count) {
  qsort(times, (size_t)count, sizeof *times, ascending);
  printf("%s_us %.1f\n", name, times[count / 2]);
  return times[count / 2];
}

static void *read_file(const char *path) {
  FILE *file = fopen(path, "rb");
  void *bytes = NULL;
  if (!file) return NULL;
  if (fseek(file, 0, SEEK_END) == 0) {
    const long size = ftell(file);
    rewind(file);
    bytes = size > 0 ? malloc((size_t)size) : NULL;
    if (bytes && fread(bytes, 1, (size_t)size, file) != (size_t)size) {
      free(bytes);
      bytes = NULL;
    }
  }
  fclose(file);
  return bytes;
}

/* The shipped PTX has no direct kernel. */
static bool is_found(CUresult result, int kernel) {
  return result == CUDA_SUCCESS || (kernel == DIRECT && result == CUDA_ERROR_NOT_FOUND);
}

static bool load_as_module(const struct loading *calls, const void *image, double *elapsed) {
  CUmodule module = NULL;
  CUfunction function = NULL;
  const double start = clock_microseconds();
  bool good = calls->load_module(&module, image, 0, NULL, NULL) == CUDA_SUCCESS;
  for (int k = 0; k < KERNELS && good; ++k) {
    good = is_found(calls->module_function(&function, module, kernels[k]), k);
  }
  *elapsed = clock_microseconds() - start;
  if (module) calls->unload_module(module);
  return good;
}

static bool load_as_library(const struct loading *calls, const void *image, double *elapsed) {
  CUlibrary library = NULL;
  CUkernel kernel = NULL;
  CUfunction function = NULL;
  const double start = clock_microseconds();
  bool good = calls->load_library(&library, image, NULL, NULL, 0, NULL, NULL, 0) == CUDA_SUCCESS;
  for (int k = 0; k < KERNELS && good; ++k) {
    const CUresult result = calls->library_kernel(&kernel, library, kernels[k]);
    good = is_found(result, k);
    if (result == CUDA_SUCCESS) good = calls->kernel_function(&function, kernel) == CUDA_SUCCESS;
  }
  *elapsed = clock_microseconds() - start;
  if (library) calls->unload_library(library);
  return good;
}

/* Reads the entry and loads it repeatedly; the file is a cubin with data after it. */
static double measure_floor(const char *name, const struct loading *calls, const char *path,
                            int count, bool as_library) {
  static double times[MOST];
  for (int i = 0; i < count; ++i) {
    double loading_time = 0;
    const double start = clock_microseconds();
    void *image = read_file(path);
    const double reading_time = clock_microseconds() - start;
    const bool good = image && (as_library ? load_as_library(calls, image, &loading_time)
                                           : load_as_module(calls, image, &loading_time));
    free(image);
    if (!good) {
      printf("%s failed\n", name);
      return 0;
    }
    times[i] = reading_time + loading_time;
  }
  return print_median(name, times, count);
}

static bool create_once(double *elapsed, udm_context_info *info) {
  udm_context *udm = NULL;
  const double start = clock_microseconds();
  const udm_status status = udm_create(NULL, &udm);
  *elapsed = clock_microseconds() - start;
  if (status != UDM_OK || udm_get_context_info(udm, info) != UDM_OK) {
    fprintf(stderr, "%s: %s\n", udm_status_name(status), udm_last_error());
    return false;
  }
  udm_destroy(udm);
  return true;
}

static bool measure(int count) {
  static double times[MOST];
  double first = 0;
  udm_context_info info = UDM_CONTEXT_INFO_INIT;
  if (!create_once(&first, &info)) return false;
  printf("first_source %s\nfirst_us %.1f\n", udm_image_source_name(info.image_source), first);
  for (int i = 0; i < count; ++i) {
    if (!create_once(&times[i], &info)) return false;
  }
  printf("again_source %s\n", udm_image_source_name(info.image_source));
  const double again = print_median("again", times, count);
  udm_image_plan plan = {.struct_size = offsetof(udm_image_plan, driver_version)};
  if (udm_plan_image(NULL, info.device_arch, &plan) != UDM_OK) return false;
  if (plan.source != UDM_IMAGE_CACHE && plan.source != UDM_IMAGE_READ_ONLY_LAYER) return true;
  struct loading calls;
  find_all(&calls);
  const double module = measure_floor("read_and_load_module", &calls, plan.detail, count, false);
  if (module > 0) printf("again_to_module %.2f\n", again / module);
  if (calls.load_library) {
    const double library = measure_floor("read_and_load_library", &calls, plan.detail, count, true);
    if (library > 0) printf("again_to_library %.2f\n", again / library);
  }
  return true;
}

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 50;
  struct cuda_driver driver;
  CUcontext context = NULL;
  if (count < 1 || count > MOST) count = 50;
  if (cuda_driver_open(NULL, &driver) != UDM_OK) {
    fprintf(stderr, "no driver: %s\n", udm_last_error());
    return 1;
  }
  if (driver.cuDevicePrimaryCtxRetain(&context, 0) != CUDA_SUCCESS) return 1;
  if (driver.cuCtxSetCurrent(context) != CUDA_SUCCESS) return 1;
  const bool good = measure(count);
  driver.cuCtxSetCurrent(NULL);
  driver.cuDevicePrimaryCtxRelease_v2(0);
  return good ? 0 : 1;
}
