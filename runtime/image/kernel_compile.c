/*
 * kernel_compile.c: compiles the shipped kernel, and remembers which compiles
 * NVRTC refused in this process, so that none of them is tried again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/kernel_compile.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/allocator.h"
#include "core/clock.h"
#include "core/counters.h"
#include "image/cubin.h"

/* More architectures than one machine has. If there are more, the oldest is tried again. */
enum { MAX_FAILURES = 16, FAILURE_MESSAGE_SIZE = 1024 };

/* In memory only: a new process may have a new NVRTC. */
static pthread_mutex_t failures_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  bool used;
  XXH128_hash_t key;
  char message[FAILURE_MESSAGE_SIZE];
} failures[MAX_FAILURES];
static int next_failure;

static XXH128_hash_t hash_key(const struct cache_key *key) {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  XXH3_128bits_update(&state, key->text, strlen(key->text) + 1);
  XXH3_128bits_update(&state, key->producer, strlen(key->producer) + 1);
  return XXH3_128bits_digest(&state);
}

static int find_failure(XXH128_hash_t hash) {
  for (int i = 0; i < MAX_FAILURES; ++i) {
    if (failures[i].used && XXH128_isEqual(failures[i].key, hash)) return i;
  }
  return -1;
}

static void remember_failure(const struct cache_key *key, const char *message) {
  const XXH128_hash_t hash = hash_key(key);
  pthread_mutex_lock(&failures_lock);
  if (find_failure(hash) < 0) {
    failures[next_failure].used = true;
    failures[next_failure].key = hash;
    snprintf(failures[next_failure].message, FAILURE_MESSAGE_SIZE, "%s", message);
    next_failure = (next_failure + 1) % MAX_FAILURES;
  }
  pthread_mutex_unlock(&failures_lock);
}

/* COMPILE, with the message of the failure, if this compile failed before. */
static udm_status check_failures(const struct cache_key *key, struct error *error) {
  const XXH128_hash_t hash = hash_key(key);
  char message[FAILURE_MESSAGE_SIZE];
  pthread_mutex_lock(&failures_lock);
  const int found = find_failure(hash);
  if (found >= 0) memcpy(message, failures[found].message, sizeof message);
  pthread_mutex_unlock(&failures_lock);
  if (found < 0) return UDM_OK;
  udm_count(remembered_failures);
  return udm_fail(error, UDM_ERROR_COMPILE,
                  "%s\n(not tried again: it failed before in this process)", message);
}

/* A compile that NVRTC refuses is remembered under `key`. */
static udm_status compile_for(const struct settings *settings, const struct nvrtc *nvrtc,
                              const struct cache_key *key, const char *target, bool to_ptx,
                              unsigned char **bytes, size_t *size, struct error *error) {
  char architecture[48];
  char unread[FAILURE_MESSAGE_SIZE] = ""; /* the message is kept even if the caller drops it */
  struct error own = {unread, sizeof unread};
  if (!error) error = &own;
  const char *const options[] = {architecture, UDM_KERNEL_COMPILE_OPTION};
  struct nvrtc_job job = {settings,
                          udm_kernel_source_text(),
                          "decode_metadata.cu",
                          sizeof options / sizeof options[0],
                          options,
                          to_ptx,
                          false};
  udm_status status = check_failures(key, error);
  if (status != UDM_OK) return status;
  snprintf(architecture, sizeof architecture, "--gpu-architecture=%s", target);
  status = udm_nvrtc_compile(nvrtc, &job, bytes, size, error);
  if (status != UDM_OK && status != UDM_ERROR_CANCELLED) udm_count(compile_failures);
  /* other failures (out of memory, missing builtins) may not happen the next time */
  if (job.refused) remember_failure(key, udm_error_text(error));
  return status;
}

udm_status udm_kernel_compile_ptx(const struct settings *settings, const struct nvrtc *nvrtc,
                                  int32_t virtual_arch, unsigned char **ptx, size_t *size,
                                  struct error *error) {
  struct kernel_key key;
  char producer[UDM_PRODUCER_SIZE];
  char target[24];
  udm_producer_nvrtc_ptx(nvrtc, virtual_arch, 0, producer);
  udm_kernel_key(virtual_arch, KERNEL_FROM_NVRTC_PTX, producer, &key);
  snprintf(target, sizeof target, "compute_%d", (int)virtual_arch);
  const udm_status status = compile_for(settings, nvrtc, &key.key, target, true, ptx, size, error);
  if (status != UDM_OK) return status;
  udm_count(compiles);
  udm_log(settings, UDM_LOG_INFO, "compiled to PTX for %s with NVRTC %d.%d", target,
          nvrtc->version_major, nvrtc->version_minor);
  return UDM_OK;
}

udm_status udm_kernel_compile(const struct settings *settings, const struct nvrtc *nvrtc,
                              int32_t arch, unsigned char **cubin, size_t *size,
                              double *milliseconds, struct error *error) {
  struct kernel_key key;
  char producer[UDM_PRODUCER_SIZE];
  udm_producer_nvrtc(nvrtc, producer);
  udm_kernel_key(arch, KERNEL_BY_NVRTC, producer, &key);
  const double start = udm_clock_seconds();
  const udm_status status =
      compile_for(settings, nvrtc, &key.key, key.arch_name, false, cubin, size, error);
  if (status != UDM_OK) return status;
  *milliseconds = 1e3 * (udm_clock_seconds() - start);
  const int32_t made_for = udm_cubin_arch(*cubin, *size);
  if (made_for != arch) {
    udm_free(*cubin);
    *cubin = NULL;
    return udm_fail(error, UDM_ERROR_COMPILE, "NVRTC %d.%d was asked for sm_%d and made sm_%d (%s)",
                    nvrtc->version_major, nvrtc->version_minor, (int)arch, (int)made_for,
                    nvrtc->path);
  }
  udm_count(compiles);
  udm_log(settings, UDM_LOG_INFO, "compiled for sm_%d in %.0f ms with NVRTC %d.%d", (int)arch,
          *milliseconds, nvrtc->version_major, nvrtc->version_minor);
  return UDM_OK;
}
