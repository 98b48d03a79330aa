/*
 * prewarm.c: compiles into the cache, without a GPU.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache.h"
#include "core/allocator.h"
#include "core/status.h"
#include "core/struct_size.h"
#include "image/compile.h"
#include "image/image.h"
#include "image/make_image.h"

struct prewarmed {
  const struct settings *settings;
  const struct nvrtc *nvrtc;
  int32_t arch;
  int32_t compiled;
  double milliseconds;
  size_t bytes;
  char path[UDM_PATH_SIZE];
};

/* What `udm cache verify` would call bad is no entry, however good its checksum is. */
static enum cache_verdict note_entry(void *user_data, const struct cache_hit *hit) {
  struct prewarmed *done = user_data;
  const enum cache_verdict verdict = udm_check_cached_image(hit, done->arch);
  if (verdict != CACHE_STOP) return verdict;
  done->bytes = hit->image_size;
  snprintf(done->path, sizeof done->path, "%s", hit->path);
  return CACHE_STOP;
}

static udm_status compile(void *user_data, struct made_image *made) {
  struct prewarmed *done = user_data;
  return udm_kernel_compile(done->settings, done->nvrtc, done->arch, &made->bytes, &made->size,
                            &done->milliseconds);
}

/* There is no driver to ask: whatever NVRTC makes is good. */
static udm_status note_compiled(void *user_data, const struct made_image *made) {
  struct prewarmed *done = user_data;
  done->compiled = 1;
  done->bytes = made->size;
  return UDM_OK;
}

static udm_status check_arch(const struct nvrtc *nvrtc, int32_t arch) {
  char known[UDM_MAX_ARCHS * 8] = "";
  if (arch < UDM_LOWEST_ARCH) {
    return udm_fail(UDM_ERROR_UNSUPPORTED_ARCH,
                    "the kernel is for sm_%d and later, not for sm_%d, whatever NVRTC knows",
                    UDM_LOWEST_ARCH, (int)arch);
  }
  for (int i = 0; i < nvrtc->arch_count; ++i) {
    if (nvrtc->archs[i] == arch) return UDM_OK;
    udm_append(known, sizeof known, " sm_%d", nvrtc->archs[i]);
  }
  return udm_fail(UDM_ERROR_UNSUPPORTED_ARCH, "NVRTC %d.%d (%s) does not know sm_%d, only%s",
                  nvrtc->version_major, nvrtc->version_minor, nvrtc->path, (int)arch, known);
}

/*
 * Only an entry in the writable layer counts: what an image build leaves behind
 * must be there, whatever layers the builder itself had.
 */
static udm_status fill_cache(const struct settings *settings, const struct nvrtc *nvrtc,
                             int32_t arch, bool force, struct prewarmed *done) {
  char producer[UDM_PRODUCER_SIZE];
  struct kernel_key key;
  struct image_making making;
  struct settings writable_only = *settings;
  writable_only.cache_path = NULL;
  udm_producer_nvrtc(nvrtc, producer);
  udm_kernel_key(arch, producer, &key);
  done->settings = settings;
  done->nvrtc = nvrtc;
  done->arch = arch;
  memset(&making, 0, sizeof making);
  making.settings = &writable_only;
  making.key = &key.key;
  making.force = force;
  making.lookup_flags = CACHE_LOOKUP_FIRST | CACHE_LOOKUP_REPAIR;
  making.offer_cached = note_entry;
  making.make = compile;
  making.offer_made = note_compiled;
  making.user_data = done;
  const udm_status status = udm_make_image(&making);
  if (status != UDM_OK || !done->compiled) return status;
  memcpy(done->path, making.path, sizeof done->path);
  return making.published;
}

static udm_status prewarm_arch(const struct settings *settings, int32_t arch, uint32_t flags,
                               struct prewarmed *done) {
  struct nvrtc nvrtc;
  if (settings->no_compile) {
    return udm_fail(UDM_ERROR_INVALID_ARGUMENT,
                    "prewarm compiles, and compiling is forbidden: unset UDM_NO_COMPILE, and "
                    "UDM_OPTION_NO_COMPILE and _CACHED_ONLY in options->flags");
  }
  udm_status status = udm_nvrtc_open(settings, &nvrtc);
  if (status != UDM_OK) return status;
  status = check_arch(&nvrtc, arch);
  if (status == UDM_OK) {
    status = fill_cache(settings, &nvrtc, arch, (flags & UDM_PREWARM_FORCE) != 0, done);
  }
  udm_nvrtc_close(&nvrtc);
  return status;
}

udm_status udm_prewarm(const udm_options *options, int32_t arch, uint32_t flags,
                       udm_prewarm_result *result) {
  struct settings settings;
  struct prewarmed done;
  memset(&done, 0, sizeof done);
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
