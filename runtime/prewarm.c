/*
 * prewarm.c: compiles into the cache, without a GPU.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "cache_lock.h"
#include "compile.h"
#include "cubin.h"
#include "host_memory.h"
#include "status.h"
#include "struct_size.h"

struct prewarmed {
  int32_t compiled;
  int32_t arch;
  double milliseconds;
  size_t bytes;
  char path[UDM_PATH_SIZE];
};

/* What `udm cache verify` would call bad is no entry, however good its checksum is. */
static enum cache_verdict note_entry(void *user_data, const struct cache_hit *hit) {
  struct prewarmed *done = user_data;
  const int32_t made_for = udm_cubin_arch(hit->image, hit->image_size);
  const char *damage = udm_cubin_damage(hit->image, hit->image_size);
  if (damage) {
    udm_fail(UDM_ERROR_NO_IMAGE, "%s", damage);
    return CACHE_REFUSED;
  }
  if (made_for != done->arch) {
    udm_fail(UDM_ERROR_NO_IMAGE, "it holds a cubin for sm_%d, not sm_%d", (int)made_for,
             (int)done->arch);
    return CACHE_WRONG_ARCH;
  }
  done->bytes = hit->image_size;
  snprintf(done->path, sizeof done->path, "%s", hit->path);
  return CACHE_STOP;
}

/*
 * Only an entry in the writable layer counts: what an image build leaves behind
 * must be there, whatever layers the builder itself had.
 */
static bool is_cached(const struct settings *settings, const struct cache_key *key, unsigned flags,
                      struct prewarmed *done) {
  struct settings writable_only = *settings;
  writable_only.cache_path = NULL;
  return udm_cache_lookup(&writable_only, key, flags | CACHE_LOOKUP_REPAIR, note_entry, done) ==
         UDM_OK;
}

static udm_status check_arch(const struct nvrtc *nvrtc, int32_t arch) {
  char known[UDM_MAX_ARCHS * 8] = "";
  for (int i = 0; i < nvrtc->arch_count; ++i) {
    if (nvrtc->archs[i] == arch) return UDM_OK;
    udm_append(known, sizeof known, " sm_%d", nvrtc->archs[i]);
  }
  return udm_fail(UDM_ERROR_UNSUPPORTED_ARCH, "NVRTC %d.%d (%s) does not know sm_%d, only%s",
                  nvrtc->version_major, nvrtc->version_minor, nvrtc->path, (int)arch, known);
}

static udm_status compile_into_cache(const struct settings *settings, const struct nvrtc *nvrtc,
                                     int32_t arch, struct prewarmed *done) {
  unsigned char *cubin = NULL;
  udm_status status =
      udm_kernel_compile(settings, nvrtc, arch, &cubin, &done->bytes, &done->milliseconds);
  if (status != UDM_OK) return status;
  done->compiled = 1;
  status = udm_kernel_publish(settings, nvrtc, arch, cubin, done->bytes, done->path);
  udm_free(cubin);
  return status;
}

/* Of several that prewarm the same at once, one compiles. */
static udm_status make_entry(const struct settings *settings, const struct nvrtc *nvrtc,
                             int32_t arch, const struct cache_key *key, bool force,
                             struct prewarmed *done) {
  struct cache_lock lock = UDM_CACHE_LOCK_INIT;
  udm_status status = UDM_OK;
  if (!force && is_cached(settings, key, CACHE_LOOKUP_FIRST, done)) return UDM_OK;
  udm_cache_lock_key(settings, key, &lock);
  if (force || !is_cached(settings, key, 0, done)) {
    status = compile_into_cache(settings, nvrtc, arch, done);
  }
  udm_cache_unlock(&lock);
  return status;
}

static udm_status prewarm_arch(const struct settings *settings, int32_t arch, uint32_t flags,
                               struct prewarmed *done) {
  struct nvrtc nvrtc;
  struct kernel_key key;
  if (settings->no_compile) {
    return udm_fail(UDM_ERROR_INVALID_ARGUMENT,
                    "prewarm compiles, and compiling is forbidden: unset UDM_NO_COMPILE, and "
                    "UDM_OPTION_NO_COMPILE in options->flags");
  }
  udm_status status = udm_nvrtc_open(settings, &nvrtc);
  if (status != UDM_OK) return status;
  status = check_arch(&nvrtc, arch);
  if (status == UDM_OK) {
    udm_kernel_key(arch, &nvrtc, &key);
    status = make_entry(settings, &nvrtc, arch, &key.key, flags & UDM_PREWARM_FORCE, done);
  }
  udm_nvrtc_close(&nvrtc);
  return status;
}

udm_status udm_prewarm(const udm_options *options, int32_t arch, uint32_t flags,
                       udm_prewarm_result *result) {
  struct settings settings;
  struct prewarmed done = {.arch = arch};
  udm_status status = UDM_OK;
  if (result) {
    status = udm_check_struct("result", result, UDM_SIZE_UP_TO(udm_prewarm_result, path));
  }
  if (status == UDM_OK && (flags & ~UDM_PREWARM_FORCE)) {
    status = udm_fail(UDM_ERROR_INVALID_ARGUMENT, "flags has unknown bits: 0x%x", (unsigned)flags);
  }
  if (status == UDM_OK) status = udm_settings_resolve(options, &settings);
  if (status == UDM_OK) status = prewarm_arch(&settings, arch, flags, &done);
  if (status != UDM_OK || !result) return status;
  udm_prewarm_result full = {
      .compiled = done.compiled, .compile_ms = done.milliseconds, .bytes = done.bytes};
  memcpy(full.path, done.path, sizeof full.path);
  udm_fill_struct(result, &full, sizeof full);
  return UDM_OK;
}
