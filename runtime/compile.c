/*
 * compile.c: compiles the shipped kernel and names its cache key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cache.h"
#include "cache_counters.h"
#include "cubin.h"
#include "failed_compiles.h"
#include "host_memory.h"
#include "log.h"
#include "status.h"

/* Made by cmake/embed.cmake from nvrtc_src/decode_metadata.cu. */
extern const unsigned char udm_kernel_source[];
extern const size_t udm_kernel_source_size;

/* Besides --gpu-architecture. They are part of the cache key. */
#define COMPILE_OPTION "--std=c++17"

void udm_kernel_key(int32_t arch, const struct nvrtc *nvrtc, struct kernel_key *kernel_key) {
  const XXH128_hash_t source = XXH3_128bits(udm_kernel_source, udm_kernel_source_size);
  snprintf(kernel_key->label, sizeof kernel_key->label, "sm_%d", (int)arch);
  snprintf(kernel_key->material, sizeof kernel_key->material,
           "udm cubin, format %u\nsource decode_metadata.cu, xxh3-128 %016llx%016llx\n"
           "options %s\ntarget %s\n",
           UDM_CACHE_FORMAT, (unsigned long long)source.high64, (unsigned long long)source.low64,
           COMPILE_OPTION, kernel_key->label);
  kernel_key->producer[0] = '\0';
  if (nvrtc) {
    snprintf(kernel_key->producer, sizeof kernel_key->producer, "NVRTC %d.%d, build %s\n",
             nvrtc->version_major, nvrtc->version_minor, *nvrtc->build ? nvrtc->build : "unknown");
  }
  kernel_key->key.label = kernel_key->label;
  kernel_key->key.material = kernel_key->material;
  kernel_key->key.producer = nvrtc ? kernel_key->producer : NULL;
}

int32_t udm_kernel_key_target(const char *material) {
  static const char line[] = "\ntarget sm_";
  const char *found = strstr(material, line);
  if (!found) return 0;
  const char *digits = found + sizeof line - 1;
  char *end = NULL;
  const long arch = strtol(digits, &end, 10);
  return *digits >= '1' && *digits <= '9' && *end == '\n' && arch <= 9999 ? (int32_t)arch : 0;
}

static double milliseconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

udm_status udm_kernel_publish(const struct settings *settings, const struct nvrtc *nvrtc,
                              int32_t arch, const void *cubin, size_t size,
                              char path[UDM_PATH_SIZE]) {
  struct kernel_key kernel_key;
  udm_kernel_key(arch, nvrtc, &kernel_key);
  return udm_cache_publish(settings, &kernel_key.key, cubin, size, path);
}

static udm_status compile(const struct nvrtc *nvrtc, int32_t arch, unsigned char **cubin,
                          size_t *size, bool *refused) {
  char target[40];
  const char *const options[] = {target, COMPILE_OPTION};
  snprintf(target, sizeof target, "--gpu-architecture=sm_%d", (int)arch);
  const udm_status status =
      udm_nvrtc_compile(nvrtc, (const char *)udm_kernel_source, "decode_metadata.cu",
                        sizeof options / sizeof options[0], options, cubin, size, refused);
  if (status != UDM_OK) return status;
  const int32_t made_for = udm_cubin_arch(*cubin, *size);
  if (made_for == arch) return UDM_OK;
  udm_free(*cubin);
  *cubin = NULL;
  return udm_fail(UDM_ERROR_COMPILE, "NVRTC %d.%d was asked for sm_%d and made sm_%d (%s)",
                  nvrtc->version_major, nvrtc->version_minor, (int)arch, (int)made_for,
                  nvrtc->path);
}

udm_status udm_kernel_compile(const struct settings *settings, const struct nvrtc *nvrtc,
                              int32_t arch, unsigned char **cubin, size_t *size,
                              double *milliseconds) {
  struct kernel_key kernel_key;
  udm_kernel_key(arch, nvrtc, &kernel_key);
  if (udm_failed_compiles_has(&kernel_key.key)) return UDM_ERROR_COMPILE;
  const double start = milliseconds_now();
  bool refused = false;
  const udm_status status = compile(nvrtc, arch, cubin, size, &refused);
  if (status != UDM_OK) {
    udm_count(compile_failures);
    /* out of memory, missing builtins: these may work the next time */
    if (refused) udm_failed_compiles_add(&kernel_key.key);
    return status;
  }
  *milliseconds = milliseconds_now() - start;
  udm_count(compiles);
  udm_log(settings, UDM_LOG_INFO, "compiled for sm_%d in %.0f ms with NVRTC %d.%d", (int)arch,
          *milliseconds, nvrtc->version_major, nvrtc->version_minor);
  return UDM_OK;
}
