/*
 * compile.c: compiles the shipped kernel and names its cache keys.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cache/cache_counters.h"
#include "core/allocator.h"
#include "core/log.h"
#include "core/status.h"
#include "image/cubin.h"
#include "image/failed_compiles.h"

/* Made by cmake/embed.cmake from nvrtc_src/decode_metadata.cu. */
extern const unsigned char udm_kernel_source[];
extern const size_t udm_kernel_source_size;
/* Of ptx/decode_metadata.ptx. */
extern const unsigned char udm_kernel_ptx[];
extern const size_t udm_kernel_ptx_size;

/* Besides --gpu-architecture. They are part of the cache key. */
#define COMPILE_OPTION "--std=c++17"

static void hash_text(const void *bytes, size_t size, char text[33]) {
  const XXH128_hash_t hash = XXH3_128bits(bytes, size);
  snprintf(text, 33, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
}

void udm_kernel_key(int32_t arch, const char *producer, struct kernel_key *kernel_key) {
  char source[33];
  hash_text(udm_kernel_source, udm_kernel_source_size, source);
  snprintf(kernel_key->label, sizeof kernel_key->label, "sm_%d", (int)arch);
  snprintf(kernel_key->material, sizeof kernel_key->material,
           "udm cubin, format %u\nsource decode_metadata.cu, xxh3-128 %s\n"
           "options %s\ntarget %s\n",
           UDM_CACHE_FORMAT, source, COMPILE_OPTION, kernel_key->label);
  snprintf(kernel_key->producer, sizeof kernel_key->producer, "%s", producer ? producer : "");
  kernel_key->key.label = kernel_key->label;
  kernel_key->key.material = kernel_key->material;
  kernel_key->key.producer = producer ? kernel_key->producer : NULL;
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

void udm_producer_nvrtc(const struct nvrtc *nvrtc, char producer[UDM_PRODUCER_SIZE]) {
  snprintf(producer, UDM_PRODUCER_SIZE, "NVRTC %d.%d, build %s\n", nvrtc->version_major,
           nvrtc->version_minor, *nvrtc->build ? nvrtc->build : "unknown");
}

void udm_producer_nvrtc_ptx(const struct nvrtc *nvrtc, int32_t virtual_arch, int driver_version,
                            char producer[UDM_PRODUCER_SIZE]) {
  udm_producer_nvrtc(nvrtc, producer);
  udm_append(producer, UDM_PRODUCER_SIZE, "PTX for compute_%d, driver %d\n", (int)virtual_arch,
             driver_version);
}

void udm_producer_shipped_ptx(int driver_version, char producer[UDM_PRODUCER_SIZE]) {
  char ptx[33];
  hash_text(udm_kernel_ptx, udm_kernel_ptx_size, ptx);
  snprintf(producer, UDM_PRODUCER_SIZE, "shipped decode_metadata.ptx, xxh3-128 %s\ndriver %d\n",
           ptx, driver_version);
}

const char *udm_shipped_ptx(void) { return (const char *)udm_kernel_ptx; }

static double milliseconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* `key` is the one under which a refusal is remembered. */
static udm_status compile_for(const struct nvrtc *nvrtc, const struct cache_key *key,
                              const char *target, bool to_ptx, unsigned char **bytes,
                              size_t *size) {
  char architecture[48];
  const char *const options[] = {architecture, COMPILE_OPTION};
  struct nvrtc_job job = {(const char *)udm_kernel_source,
                          "decode_metadata.cu",
                          sizeof options / sizeof options[0],
                          options,
                          to_ptx,
                          false};
  if (udm_failed_compiles_has(key)) return UDM_ERROR_COMPILE;
  snprintf(architecture, sizeof architecture, "--gpu-architecture=%s", target);
  const udm_status status = udm_nvrtc_compile(nvrtc, &job, bytes, size);
  if (status != UDM_OK) udm_count(compile_failures);
  /* out of memory, missing builtins: these may work the next time */
  if (job.refused) udm_failed_compiles_add(key);
  return status;
}

udm_status udm_kernel_compile_ptx(const struct settings *settings, const struct nvrtc *nvrtc,
                                  int32_t virtual_arch, unsigned char **ptx, size_t *size) {
  struct kernel_key key;
  char producer[UDM_PRODUCER_SIZE];
  char target[24];
  udm_producer_nvrtc_ptx(nvrtc, virtual_arch, 0, producer);
  udm_kernel_key(virtual_arch, producer, &key);
  snprintf(target, sizeof target, "compute_%d", (int)virtual_arch);
  const udm_status status = compile_for(nvrtc, &key.key, target, true, ptx, size);
  if (status != UDM_OK) return status;
  udm_count(compiles);
  udm_log(settings, UDM_LOG_INFO, "compiled to PTX for %s with NVRTC %d.%d", target,
          nvrtc->version_major, nvrtc->version_minor);
  return UDM_OK;
}

udm_status udm_kernel_compile(const struct settings *settings, const struct nvrtc *nvrtc,
                              int32_t arch, unsigned char **cubin, size_t *size,
                              double *milliseconds) {
  struct kernel_key key;
  char producer[UDM_PRODUCER_SIZE];
  udm_producer_nvrtc(nvrtc, producer);
  udm_kernel_key(arch, producer, &key);
  const double start = milliseconds_now();
  const udm_status status = compile_for(nvrtc, &key.key, key.label, false, cubin, size);
  if (status != UDM_OK) return status;
  *milliseconds = milliseconds_now() - start;
  const int32_t made_for = udm_cubin_arch(*cubin, *size);
  if (made_for != arch) {
    udm_free(*cubin);
    *cubin = NULL;
    return udm_fail(UDM_ERROR_COMPILE, "NVRTC %d.%d was asked for sm_%d and made sm_%d (%s)",
                    nvrtc->version_major, nvrtc->version_minor, (int)arch, (int)made_for,
                    nvrtc->path);
  }
  udm_count(compiles);
  udm_log(settings, UDM_LOG_INFO, "compiled for sm_%d in %.0f ms with NVRTC %d.%d", (int)arch,
          *milliseconds, nvrtc->version_major, nvrtc->version_minor);
  return UDM_OK;
}
