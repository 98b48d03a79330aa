/*
 * image_sources.c: the image sources: the cache, NVRTC, PTX.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/image_sources.h"

#include <stdio.h>
#include <string.h>

#include "core/allocator.h"
#include "driver/load.h"
#include "image/cache_entry_validate.h"
#include "image/cubin.h"
#include "image/kernel_compile.h"

static void set_image(struct image_search *search, int32_t arch, udm_image_source source,
                      const char *origin, const char *producer, size_t producer_size) {
  struct image *image = &search->image;
  image->bytes = NULL;
  image->size = 0;
  image->arch = arch;
  image->is_ptx = false;
  image->source = source;
  snprintf(image->origin, sizeof image->origin, "%s", origin);
  snprintf(image->producer, sizeof image->producer, "%.*s", (int)producer_size, producer);
  udm_producer_join_lines(image->producer);
}

/* The next cached cubin for `arch` by this producer (NULL: any). NOT_FOUND if there is none. */
static udm_status next_cached(struct image_search *search, int32_t arch, const char *producer,
                              struct error *error) {
  struct cache_hit hit;
  udm_status status = UDM_OK;
  if (!search->lookup) {
    udm_kernel_key(arch, producer, &search->key);
    status = udm_cache_lookup_begin(search->settings, &search->key.key, search->lookup_flags,
                                    &search->lookup, error);
    if (status != UDM_OK) return status;
  }
  if (udm_cache_lookup_next_cubin(search->lookup, arch, &hit)) {
    set_image(search, arch, hit.writable ? UDM_IMAGE_CACHE : UDM_IMAGE_READ_ONLY_LAYER, hit.path,
              hit.producer, hit.producer_size);
    search->image.bytes = hit.image;
    search->image.size = hit.image_size;
    return UDM_OK;
  }
  status = udm_cache_lookup_end(search->lookup, error);
  search->lookup = NULL;
  return status;
}

/* Sets search->image.bytes and size to an image that it builds, and search->built to free it. */
typedef udm_status (*build_function)(struct image_search *search, struct error *error);

/*
 * The cached images of this architecture and producer, then a built one. A plan builds nothing: the
 * image then has no bytes.
 */
static udm_status next_cached_or_built(struct image_search *search, int32_t arch,
                                       const char *producer, udm_image_source source,
                                       const char *origin, build_function build,
                                       struct error *error) {
  if (search->build_tried) return udm_fail(error, UDM_ERROR_NO_IMAGE, "%s", search->reason_text);
  const udm_status status = next_cached(search, arch, producer, error);
  if (status == UDM_OK || udm_image_is_fatal(status)) return status;
  search->build_tried = true;
  search->cacheable = true;
  set_image(search, arch, source, origin, producer, strlen(producer));
  return search->driver ? build(search, error) : UDM_OK;
}

/* ------------------------------------------------------------------------
 * The cache
 * --------------------------------------------------------------------- */

/* From any producer: NVRTC of any version, or a driver that assembled PTX. */
static udm_status next_of_cache(struct image_search *search, struct error *error) {
  return next_cached(search, search->device_arch, NULL, error);
}

static int32_t lowest_of_major(const struct image_search *search) {
  return search->device_arch / 10 * 10;
}

/* A cubin for a lower architecture of the same major runs on the device too. */
static udm_status next_of_cache_same_major(struct image_search *search, struct error *error) {
  if (!search->begun) search->target = search->device_arch - 1;
  for (; search->target >= lowest_of_major(search); --search->target) {
    const udm_status status = next_cached(search, search->target, NULL, error);
    if (status == UDM_OK || udm_image_is_fatal(status)) return status;
  }
  return udm_fail(error, UDM_ERROR_NOT_FOUND, "no usable entry for a lower sm_%dx",
                  (int)search->device_arch / 10);
}

/* ------------------------------------------------------------------------
 * NVRTC
 * --------------------------------------------------------------------- */

static udm_status open_nvrtc(struct image_search *search, struct error *error) {
  if (search->settings->no_compile) {
    return udm_fail(error, UDM_ERROR_NO_IMAGE,
                    "compiling is forbidden (UDM_NO_COMPILE or the option): fill the cache with "
                    "'udm prewarm' on a machine that may compile");
  }
  if (!search->nvrtc_tried) {
    struct error reason = {search->nvrtc_text, sizeof search->nvrtc_text};
    search->nvrtc_tried = true;
    search->nvrtc_status = udm_nvrtc_open(search->settings, &search->nvrtc, &reason);
  }
  if (search->nvrtc_status == UDM_OK) return UDM_OK;
  return udm_fail(error, search->nvrtc_status, "%s", search->nvrtc_text);
}

static bool has_lower_entry(const struct image_search *search) {
  for (int32_t arch = search->device_arch - 1; arch >= lowest_of_major(search); --arch) {
    struct kernel_key key;
    struct cache_hit hit;
    struct cache_lookup *lookup = NULL;
    udm_kernel_key(arch, NULL, &key);
    if (udm_cache_lookup_begin(search->settings, &key.key, 0, &lookup, NULL) != UDM_OK)
      return false;
    const bool found = udm_cache_lookup_next(lookup, &hit);
    udm_cache_lookup_end(lookup, NULL);
    if (found) return true;
  }
  return false;
}

/* False in a plan, and if only cached images are allowed. */
static bool may_build(const struct image_search *search) {
  return search->driver && !search->settings->cached_only;
}

/*
 * Before the lock is taken: the cubin that next_of_nvrtc() would build may be cached already. If
 * NVRTC does not know the device's architecture, that is a cubin for a lower one.
 */
static udm_status next_of_nvrtc_cached_lower(struct image_search *search, struct error *error) {
  char producer[UDM_PRODUCER_SIZE];
  if (!search->begun) {
    const bool wanted =
        may_build(search) && !search->settings->no_compile && has_lower_entry(search);
    if (!wanted || open_nvrtc(search, error) != UDM_OK) return UDM_ERROR_NOT_FOUND;
    search->target =
        udm_nvrtc_arch_below(&search->nvrtc, lowest_of_major(search), search->device_arch);
    if (search->target == 0 || search->target == search->device_arch) return UDM_ERROR_NOT_FOUND;
  }
  udm_producer_nvrtc(&search->nvrtc, producer);
  return next_cached(search, search->target, producer, error);
}

/*
 * Takes the lock under which one process or thread builds the image while the others wait, and
 * looks again: the previous holder has stored its image.
 */
static udm_status next_of_cache_locked(struct image_search *search, struct error *error) {
  if (!may_build(search)) return UDM_ERROR_NOT_FOUND;
  if (!search->begun) {
    struct kernel_key key;
    udm_kernel_key(search->device_arch, NULL, &key);
    if (udm_cache_lock_key(search->settings, &key.key, &search->lock) == CACHE_LOCK_CANCELLED) {
      return udm_fail_cancelled(error, "the wait for another process or thread");
    }
    if (search->lock.file >= 0) {
      udm_hold_log(search->settings, &search->held_log);
      search->settings = &search->held_log.settings;
    }
  }
  return next_of_cache(search, error);
}

/*
 * After a failed compile: true if another NVRTC, now search->nvrtc, can be tried for the
 * architecture. The image then is that one's.
 */
static bool try_next_nvrtc(struct image_search *search, int32_t arch, udm_status status,
                           const struct error *error) {
  if (status != UDM_ERROR_COMPILE ||
      !udm_nvrtc_replace(search->settings, arch, udm_error_text(error), &search->nvrtc)) {
    return false;
  }
  snprintf(search->image.origin, sizeof search->image.origin, "%s", search->nvrtc.path);
  return true;
}

static udm_status build_cubin(struct image_search *search, struct error *error) {
  char producer[UDM_PRODUCER_SIZE];
  double milliseconds = 0;
  udm_status status = UDM_OK;
  do {
    udm_producer_nvrtc(&search->nvrtc, producer);
    udm_kernel_key(search->target, producer, &search->key);
    status = udm_kernel_compile(search->settings, &search->nvrtc, search->target, &search->built,
                                &search->image.size, &milliseconds, error);
  } while (try_next_nvrtc(search, search->target, status, error));
  search->image.bytes = search->built;
  return status;
}

/*
 * For the device's own architecture if NVRTC knows it, else for the lower ones of its major, the
 * highest first. There is more than one try, since the highest may be the architecture of an
 * embedded GPU, whose images a desktop GPU of that major rejects.
 */
static udm_status next_of_nvrtc(struct image_search *search, struct error *error) {
  char producer[UDM_PRODUCER_SIZE];
  const struct nvrtc *nvrtc = &search->nvrtc;
  const int32_t lowest = lowest_of_major(search);
  udm_status status = open_nvrtc(search, error);
  if (status != UDM_OK) return status;
  if (!search->begun) {
    search->target_reasons[0] = '\0';
    search->target = udm_nvrtc_arch_below(nvrtc, lowest, search->device_arch);
    if (search->target == 0) {
      return udm_fail(error, UDM_ERROR_UNSUPPORTED_ARCH,
                      "NVRTC %d.%d (%s) knows no architecture that runs on sm_%d: install %s one, "
                      "such as the Python package %s",
                      nvrtc->version_major, nvrtc->version_minor, nvrtc->path,
                      (int)search->device_arch,
                      search->device_arch < nvrtc->archs[0] ? "an older" : "a newer",
                      udm_nvrtc_package(search->device_arch));
    }
  }
  udm_producer_nvrtc(nvrtc, producer);
  while (search->target != 0) {
    status = next_cached_or_built(search, search->target, producer, UDM_IMAGE_NVRTC, nvrtc->path,
                                  build_cubin, error);
    if (status == UDM_OK || udm_image_is_fatal(status)) return status;
    udm_append(search->target_reasons, sizeof search->target_reasons, "%ssm_%d: %s",
               search->target_reasons[0] ? "; " : "", (int)search->target, udm_error_text(error));
    search->target = udm_nvrtc_arch_below(nvrtc, lowest, search->target - 1);
    search->build_tried = false;
  }
  return udm_fail(error, UDM_ERROR_NO_IMAGE, "%s", search->target_reasons);
}

/* ------------------------------------------------------------------------
 * PTX
 * --------------------------------------------------------------------- */

/* Assembling PTX also makes an image, so a mode that allows only cached images forbids it. */
static udm_status may_assemble(const struct image_search *search, struct error *error) {
  if (!search->settings->cached_only) return UDM_OK;
  return udm_fail(error, UDM_ERROR_NO_IMAGE,
                  "only cached images are allowed (UDM_NO_COMPILE=strict or the option): fill the "
                  "cache with 'udm prewarm' on a machine that may compile");
}

/* Assembles the PTX into a cubin, which may turn out to be for another architecture than the key's.
 */
static udm_status assemble(struct image_search *search, const char *ptx, struct error *error) {
  const udm_status status = udm_assemble(search->driver, ptx, search->image.origin, &search->built,
                                         &search->image.size, error);
  if (status != UDM_OK) return status;
  search->image.bytes = search->built;
  search->cacheable = udm_cubin_arch(search->built, search->image.size) == search->device_arch;
  return UDM_OK;
}

/* The PTX itself is the image, for a driver without a linker: it assembles while it loads. */
static void use_ptx(struct image_search *search, const char *ptx, size_t size) {
  search->image.bytes = (const unsigned char *)ptx;
  search->image.size = size;
  search->image.is_ptx = true;
  search->cacheable = false;
}

static udm_status build_from_nvrtc_ptx(struct image_search *search, struct error *error) {
  char producer[UDM_PRODUCER_SIZE];
  unsigned char *ptx = NULL;
  size_t size = 0;
  udm_status status = UDM_OK;
  do {
    udm_producer_nvrtc_ptx(&search->nvrtc, search->virtual_arch, search->driver_version, producer);
    udm_kernel_key(search->device_arch, producer, &search->key);
    status = udm_kernel_compile_ptx(search->settings, &search->nvrtc, search->virtual_arch, &ptx,
                                    &size, error);
  } while (try_next_nvrtc(search, search->virtual_arch, status, error));
  if (status != UDM_OK) return status;
  if (!udm_can_assemble(search->driver)) {
    search->built = ptx;
    use_ptx(search, (const char *)ptx, size);
    return UDM_OK;
  }
  status = assemble(search, (const char *)ptx, error);
  udm_free(ptx);
  return status;
}

static udm_status next_of_nvrtc_ptx(struct image_search *search, struct error *error) {
  char producer[UDM_PRODUCER_SIZE];
  const struct nvrtc *nvrtc = &search->nvrtc;
  udm_status status = may_assemble(search, error);
  if (status != UDM_OK) return status;
  if (search->nvrtc_tried && search->nvrtc_status != UDM_OK) {
    return udm_fail(error, search->nvrtc_status, "there is no usable NVRTC, as said above");
  }
  status = open_nvrtc(search, error);
  if (status != UDM_OK) return status;
  search->virtual_arch = udm_nvrtc_arch_below(nvrtc, UDM_LOWEST_ARCH, search->device_arch);
  if (search->virtual_arch == 0) {
    return udm_fail(error, UDM_ERROR_UNSUPPORTED_ARCH,
                    "NVRTC %d.%d (%s) knows no architecture from sm_%d to sm_%d",
                    nvrtc->version_major, nvrtc->version_minor, nvrtc->path, UDM_LOWEST_ARCH,
                    (int)search->device_arch);
  }
  udm_producer_nvrtc_ptx(nvrtc, search->virtual_arch, search->driver_version, producer);
  return next_cached_or_built(search, search->device_arch, producer, UDM_IMAGE_NVRTC_PTX,
                              nvrtc->path, build_from_nvrtc_ptx, error);
}

static udm_status build_from_shipped_ptx(struct image_search *search, struct error *error) {
  const char *ptx = udm_shipped_ptx();
  if (udm_can_assemble(search->driver)) return assemble(search, ptx, error);
  use_ptx(search, ptx, strlen(ptx) + 1);
  return UDM_OK;
}

static udm_status next_of_shipped_ptx(struct image_search *search, struct error *error) {
  char producer[UDM_PRODUCER_SIZE];
  const udm_status status = may_assemble(search, error);
  if (status != UDM_OK) return status;
  udm_producer_shipped_ptx(search->driver_version, producer);
  return next_cached_or_built(search, search->device_arch, producer, UDM_IMAGE_SHIPPED_PTX,
                              "the PTX that udm carries", build_from_shipped_ptx, error);
}

/* Those without a name look at the cache again, before and after a wait for another process. */
const struct image_source udm_image_sources[] = {
    {"cache", next_of_cache},
    {NULL, next_of_nvrtc_cached_lower},
    {NULL, next_of_cache_locked},
    {"NVRTC", next_of_nvrtc},
    {"cache, same major", next_of_cache_same_major},
    {"PTX of NVRTC", next_of_nvrtc_ptx},
    {"shipped PTX", next_of_shipped_ptx},
};
const int udm_image_source_count = sizeof udm_image_sources / sizeof udm_image_sources[0];
