/*
 * prewarm.c: the public function that compiles into the cache, without a GPU.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "core/allocator.h"
#include "core/struct_size.h"
#include "image/cache_entry_validate.h"
#include "image/kernel_compile.h"

/* Describes the key's good entry in the cache. NOT_FOUND if there is none; OUT_OF_MEMORY. */
static udm_status find_entry(const struct settings *settings, const struct kernel_key *key,
                             int32_t arch, unsigned flags, udm_prewarm_result *found,
                             struct error *error) {
  struct cache_lookup *lookup = NULL;
  struct cache_hit hit;
  const udm_status status = udm_cache_lookup_begin(settings, &key->key, flags, &lookup, error);
  if (status != UDM_OK) return status;
  if (udm_cache_lookup_next_cubin(lookup, arch, &hit)) {
    found->bytes = hit.image_size;
    snprintf(found->path, sizeof found->path, "%s", hit.path);
    udm_cache_lookup_accept(lookup);
  }
  return udm_cache_lookup_end(lookup, error);
}

static udm_status check_arch(const struct nvrtc *nvrtc, int32_t arch, struct error *error) {
  char known[UDM_MAX_ARCHS * 8] = "";
  if (arch < UDM_LOWEST_ARCH) {
    return udm_fail(error, UDM_ERROR_UNSUPPORTED_ARCH,
                    "the kernel needs sm_%d or later, with any NVRTC: it cannot be compiled for "
                    "sm_%d",
                    UDM_LOWEST_ARCH, (int)arch);
  }
  for (int i = 0; i < nvrtc->arch_count; ++i) {
    if (nvrtc->archs[i] == arch) return UDM_OK;
    udm_append(known, sizeof known, " sm_%d", nvrtc->archs[i]);
  }
  return udm_fail(
      error, UDM_ERROR_UNSUPPORTED_ARCH,
      "NVRTC %d.%d (%s) does not know sm_%d, only%s: install one that does, such as the "
      "Python package %s",
      nvrtc->version_major, nvrtc->version_minor, nvrtc->path, (int)arch, known,
      udm_nvrtc_package(arch));
}

static udm_status compile_and_store(const struct settings *settings, const struct nvrtc *nvrtc,
                                    const struct kernel_key *key, int32_t arch,
                                    udm_prewarm_result *result, struct error *error) {
  unsigned char *cubin = NULL;
  udm_status status =
      udm_kernel_compile(settings, nvrtc, arch, &cubin, &result->bytes, &result->compile_ms, error);
  if (status != UDM_OK) return status;
  result->compiled = 1;
  status = udm_cache_store(settings, &key->key, cubin, result->bytes, result->path, error);
  udm_free(cubin);
  return status;
}

/*
 * Only an entry in the writable layer counts: the read-only layers of the machine that builds a
 * container image are not part of that image.
 */
static udm_status fill_cache(const struct settings *settings, const struct nvrtc *nvrtc,
                             int32_t arch, bool force, udm_prewarm_result *result,
                             struct error *error) {
  char producer[UDM_PRODUCER_SIZE];
  struct kernel_key key;
  struct cache_lock lock = UDM_CACHE_LOCK_INIT;
  struct held_log log = UDM_HELD_LOG_INIT;
  struct settings writable_only = *settings;
  writable_only.cache_path = NULL;
  udm_producer_nvrtc(nvrtc, producer);
  udm_kernel_key(arch, KERNEL_BY_NVRTC, producer, &key);
  const unsigned first = CACHE_LOOKUP_FIRST | CACHE_LOOKUP_REPAIR;
  udm_status status = UDM_ERROR_NOT_FOUND;
  if (!force) status = find_entry(&writable_only, &key, arch, first, result, error);
  if (status != UDM_ERROR_NOT_FOUND) return status;
  /* if several want the image at once, one compiles, and the others find its entry */
  if (udm_cache_lock_key(&writable_only, &key.key, &lock) == CACHE_LOCK_CANCELLED) {
    return udm_fail_cancelled(error, "the wait for another process or thread");
  }
  udm_hold_log(&writable_only, &log);
  if (!force) {
    status = find_entry(&log.settings, &key, arch, CACHE_LOOKUP_REPAIR, result, error);
  }
  if (status == UDM_ERROR_NOT_FOUND) {
    status = compile_and_store(&log.settings, nvrtc, &key, arch, result, error);
  }
  udm_cache_unlock(&lock);
  udm_release_log(&log);
  return status;
}

static udm_status prewarm_arch(const struct settings *settings, int32_t arch, uint32_t flags,
                               udm_prewarm_result *result, struct error *error) {
  struct nvrtc *nvrtc = NULL; /* too large for a stack frame */
  if (settings->no_compile) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "prewarm compiles, and compiling is forbidden: unset UDM_NO_COMPILE, and "
                    "UDM_OPTION_NO_COMPILE and _CACHED_ONLY in options->flags");
  }
  nvrtc = udm_calloc(1, sizeof *nvrtc);
  if (!nvrtc) return udm_fail_memory(error, "NVRTC's functions", sizeof *nvrtc);
  udm_status status = udm_nvrtc_open(settings, nvrtc, error);
  if (status == UDM_OK) status = check_arch(nvrtc, arch, error);
  if (status == UDM_OK) {
    do {
      status = fill_cache(settings, nvrtc, arch, (flags & UDM_PREWARM_FORCE) != 0, result, error);
    } while (status == UDM_ERROR_COMPILE &&
             udm_nvrtc_replace(settings, arch, udm_error_text(error), nvrtc));
  }
  udm_nvrtc_close(nvrtc);
  udm_free(nvrtc);
  return status;
}

udm_status udm_prewarm(const udm_options *options, int32_t arch, uint32_t flags,
                       udm_prewarm_result *result) {
  struct error *const error = udm_thread_error();
  struct settings settings;
  udm_prewarm_result full = {.struct_size = sizeof full};
  udm_status status = UDM_OK;
  if (result) {
    status = udm_check_struct("result", result, UDM_SIZE_UP_TO(udm_prewarm_result, path), error);
  }
  if (status == UDM_OK && (flags & ~UDM_PREWARM_FORCE)) {
    status = udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "flags has unknown bits: 0x%x",
                      (unsigned)flags);
  }
  if (status == UDM_OK) status = udm_settings_resolve(options, &settings, error);
  if (status == UDM_OK) status = prewarm_arch(&settings, arch, flags, &full, error);
  if (status == UDM_OK && result) udm_fill_struct(result, &full, sizeof full);
  return status;
}
