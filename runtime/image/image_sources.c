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

/*
 * In a plan nobody asks the driver, so versions decide. A driver reads cubins of its own CUDA major
 * version and older; no CUDA promises more.
 */
static udm_status check_readable(const struct image_search *search, const char *producer,
                                 struct error *error) {
  const int made_by = udm_producer_cuda_version(producer);
  if (search->driver || !search->driver_version) return UDM_OK;
  if (made_by / 1000 <= search->driver_version / 1000) return UDM_OK;
  return udm_fail(error, UDM_ERROR_NO_IMAGE,
                  "it is of CUDA %d.%d, and this driver, of CUDA %d.%d, refuses images of a newer "
                  "major version",
                  VERSION_ARGUMENTS(made_by), VERSION_ARGUMENTS(search->driver_version));
}

static void set_image(struct image_search *search, int32_t arch, udm_image_source source,
                      enum kernel_maker maker, const char *producer, const char *origin) {
  struct image *image = &search->image;
  image->bytes = NULL;
  image->size = 0;
  image->arch = arch;
  image->is_ptx = false;
  image->source = source;
  image->maker = maker;
  snprintf(image->producer, sizeof image->producer, "%s", producer);
  snprintf(image->origin, sizeof image->origin, "%s", origin);
}

/*
 * The next cached cubin for `arch`, of this maker and producer (NULL: any). NOT_FOUND if there is
 * none.
 */
static udm_status next_cached(struct image_search *search, int32_t arch, enum kernel_maker maker,
                              const char *producer, struct error *error) {
  struct cache_hit hit;
  char text[UDM_REASON_SIZE] = "";
  struct error reason = {text, sizeof text};
  udm_status status = UDM_OK;
  if (!search->lookup) {
    udm_kernel_key(arch, maker, producer, &search->key);
    status = udm_cache_lookup_begin(search->settings, &search->key.key, search->lookup_flags,
                                    &search->lookup, error);
    if (status != UDM_OK) return status;
  }
  while (udm_cache_lookup_next_cubin(search->lookup, arch, &hit)) {
    if (udm_image_file_was_refused(search, hit.path)) {
      udm_cache_lookup_pass_over(search->lookup, "refused, as said above");
      continue;
    }
    set_image(search, arch, hit.writable ? UDM_IMAGE_CACHE : UDM_IMAGE_READ_ONLY_LAYER, maker,
              hit.producer, hit.path);
    search->image.bytes = hit.image;
    search->image.size = hit.image_size;
    if (check_readable(search, hit.producer, &reason) == UDM_OK) return UDM_OK;
    udm_cache_lookup_pass_over(search->lookup, text);
    udm_image_remember_refused(search);
  }
  status = udm_cache_lookup_end(search->lookup, error);
  search->lookup = NULL;
  return status;
}

/*
 * Takes the lock under which one process or thread builds an image for this device while the others
 * wait. Returns true the first time: the one before may have put its image into the cache.
 */
static bool wait_for_other_builders(struct image_search *search, bool *cancelled) {
  struct kernel_key key;
  if (search->lock_tried) return false;
  search->lock_tried = true;
  udm_kernel_key(search->device_arch, KERNEL_BY_NVRTC, NULL, &key);
  *cancelled =
      udm_cache_lock_key(search->settings, &key.key, &search->lock) == CACHE_LOCK_CANCELLED;
  if (search->lock.file >= 0) {
    udm_hold_log(search->settings, &search->held_log);
    search->settings = &search->held_log.settings;
  }
  return true;
}

/* What a source builds, and under which key the cache keeps it. */
struct buildable_image {
  int32_t arch;
  udm_image_source source;
  enum kernel_maker maker;
  const char *producer;
  const char *origin;
  /* sets search->image.bytes and size to an image that it builds, and search->built to free it */
  udm_status (*build)(struct image_search *search, struct error *error);
};

/*
 * The cached images of this kind, then one that is built. A plan builds nothing: the image then
 * has no bytes.
 */
static udm_status next_cached_or_built(struct image_search *search,
                                       const struct buildable_image *wanted, struct error *error) {
  if (search->build_tried) return udm_fail(error, UDM_ERROR_NO_IMAGE, "%s", search->reason_text);
  udm_status status = next_cached(search, wanted->arch, wanted->maker, wanted->producer, error);
  if (status == UDM_OK || udm_image_is_fatal(status)) return status;
  if (udm_image_was_refused(search, wanted->arch, wanted->producer) &&
      udm_image_refusal_is_expected(search, wanted->arch, wanted->producer)) {
    /* the same producer would make the same image */
    status = check_readable(search, wanted->producer, error);
    if (status != UDM_OK) return status;
    return udm_fail(error, UDM_ERROR_NO_IMAGE, "the driver refused its image from the cache: %s",
                    search->reason_text);
  }
  bool cancelled = false;
  if (search->driver && wait_for_other_builders(search, &cancelled)) {
    if (cancelled) return udm_fail_cancelled(error, "the wait for another process or thread");
    status = next_cached(search, wanted->arch, wanted->maker, wanted->producer, error);
    if (status == UDM_OK || udm_image_is_fatal(status)) return status;
  }
  search->build_tried = true;
  search->cacheable = true;
  udm_kernel_key(wanted->arch, wanted->maker, wanted->producer, &search->key);
  set_image(search, wanted->arch, wanted->source, wanted->maker, wanted->producer, wanted->origin);
  status = check_readable(search, wanted->producer, error);
  if (status != UDM_OK) {
    udm_image_remember_refused(search);
    return status;
  }
  return search->driver ? wanted->build(search, error) : UDM_OK;
}

/* ------------------------------------------------------------------------
 * The cache
 * --------------------------------------------------------------------- */

/* Made by NVRTC of any version, for exactly this architecture: the best image there is. */
static udm_status next_of_cache(struct image_search *search, struct error *error) {
  const udm_status status = next_cached(search, search->device_arch, KERNEL_BY_NVRTC, NULL, error);
  if (status == UDM_ERROR_NOT_FOUND) udm_cache_add_stale_entries(search->settings, error);
  return status;
}

static int32_t lowest_of_major(const struct image_search *search) {
  return search->device_arch / 10 * 10;
}

/* A cubin for a lower architecture of the same major runs on the device too. */
static udm_status next_of_cache_same_major(struct image_search *search, struct error *error) {
  if (!search->begun) search->target = search->device_arch - 1;
  for (; search->target >= lowest_of_major(search); --search->target) {
    const udm_status status = next_cached(search, search->target, KERNEL_BY_NVRTC, NULL, error);
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
    return udm_fail(error, UDM_ERROR_NO_IMAGE, "compiling is forbidden (%s)",
                    search->settings->no_compile_reason);
  }
  if (!search->nvrtc_tried) {
    struct error reason = {search->nvrtc_text, sizeof search->nvrtc_text};
    search->nvrtc_tried = true;
    search->nvrtc_status = udm_nvrtc_open(search->settings, &search->nvrtc, &reason);
  }
  if (search->nvrtc_status == UDM_OK) return UDM_OK;
  return udm_fail(error, search->nvrtc_status, "%s", search->nvrtc_text);
}

/*
 * After a failed compile: true if another NVRTC, now search->nvrtc, can be tried for the
 * architecture. The image is then that one's.
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

/* The image will be of the present search->nvrtc. */
static void set_producer(struct image_search *search, int32_t arch, const char *producer) {
  snprintf(search->image.producer, sizeof search->image.producer, "%s", producer);
  udm_kernel_key(arch, search->image.maker, producer, &search->key);
}

static udm_status build_cubin(struct image_search *search, struct error *error) {
  char producer[UDM_PRODUCER_SIZE];
  double milliseconds = 0;
  udm_status status = UDM_OK;
  do {
    udm_producer_nvrtc(&search->nvrtc, producer);
    set_producer(search, search->target, producer);
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
  while (search->target != 0) {
    udm_producer_nvrtc(nvrtc, producer); /* a failed compile may have replaced the NVRTC */
    const struct buildable_image wanted = {search->target, UDM_IMAGE_NVRTC, KERNEL_BY_NVRTC,
                                           producer,       nvrtc->path,     build_cubin};
    status = next_cached_or_built(search, &wanted, error);
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
  return udm_fail(error, UDM_ERROR_NO_IMAGE, "only cached images are allowed (%s)",
                  search->settings->no_compile_reason);
}

/* Assembles the PTX into a cubin, which may be for another architecture than the key's. */
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
    set_producer(search, search->device_arch, producer);
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

/* A driver of an older CUDA major version reads no PTX of this NVRTC: so nothing is compiled. */
static udm_status check_ptx_readable(const struct image_search *search, struct error *error) {
  const struct nvrtc *nvrtc = &search->nvrtc;
  const int version = 1000 * nvrtc->version_major + 10 * nvrtc->version_minor;
  const int driver = search->driver_version;
  const bool too_new = search->driver ? version / 1000 > driver / 1000 : driver && version > driver;
  if (!too_new) return UDM_OK;
  return udm_fail(error, UDM_ERROR_NO_IMAGE,
                  "NVRTC %d.%d (%s) writes PTX that this driver, of CUDA %d.%d, cannot read",
                  nvrtc->version_major, nvrtc->version_minor, nvrtc->path,
                  VERSION_ARGUMENTS(driver));
}

static udm_status next_of_this_nvrtc_ptx(struct image_search *search, struct error *error) {
  char producer[UDM_PRODUCER_SIZE];
  const struct nvrtc *nvrtc = &search->nvrtc;
  if (search->nvrtc_tried && search->nvrtc_status != UDM_OK) {
    return udm_fail(error, search->nvrtc_status, "there is no usable NVRTC, as said above");
  }
  udm_status status = open_nvrtc(search, error);
  if (status != UDM_OK) return status;
  search->virtual_arch = udm_nvrtc_arch_below(nvrtc, UDM_LOWEST_ARCH, search->device_arch);
  if (search->virtual_arch == 0) {
    return udm_fail(error, UDM_ERROR_UNSUPPORTED_ARCH,
                    "NVRTC %d.%d (%s) knows no architecture from sm_%d to sm_%d",
                    nvrtc->version_major, nvrtc->version_minor, nvrtc->path, UDM_LOWEST_ARCH,
                    (int)search->device_arch);
  }
  status = check_ptx_readable(search, error);
  if (status != UDM_OK) return status;
  udm_producer_nvrtc_ptx(nvrtc, search->virtual_arch, search->driver_version, producer);
  const struct buildable_image wanted = {search->device_arch,   UDM_IMAGE_NVRTC_PTX,
                                         KERNEL_FROM_NVRTC_PTX, producer,
                                         nvrtc->path,           build_from_nvrtc_ptx};
  return next_cached_or_built(search, &wanted, error);
}

/* By this NVRTC and driver if possible, else cached ones by any. */
static udm_status next_of_nvrtc_ptx(struct image_search *search, struct error *error) {
  if (!search->second_half) {
    const udm_status status = next_of_this_nvrtc_ptx(search, error);
    if (status == UDM_OK || udm_image_is_fatal(status)) return status;
    search->second_half = true;
  }
  char text[UDM_REASON_SIZE] = "";
  struct error reason = {text, sizeof text};
  const udm_status status =
      next_cached(search, search->device_arch, KERNEL_FROM_NVRTC_PTX, NULL, &reason);
  if (status == UDM_OK) return UDM_OK;
  if (udm_image_is_fatal(status)) return udm_fail(error, status, "%s", text);
  return UDM_ERROR_NO_IMAGE; /* *error says why already */
}

static udm_status build_from_shipped_ptx(struct image_search *search, struct error *error) {
  const char *ptx = udm_shipped_ptx();
  if (udm_can_assemble(search->driver)) return assemble(search, ptx, error);
  use_ptx(search, ptx, strlen(ptx) + 1);
  return UDM_OK;
}

/* Cached ones by any driver: assembled anew they would be the same. */
static udm_status next_of_shipped_ptx(struct image_search *search, struct error *error) {
  char producer[UDM_PRODUCER_SIZE];
  if (!search->second_half) {
    const udm_status status =
        next_cached(search, search->device_arch, KERNEL_FROM_SHIPPED_PTX, NULL, error);
    if (status == UDM_OK || udm_image_is_fatal(status)) return status;
    search->second_half = true;
  }
  const udm_status status = may_assemble(search, error);
  if (status != UDM_OK) return status;
  if (!search->driver && search->driver_version && search->driver_version < CUDA_OF_SHIPPED_PTX) {
    return udm_fail(error, UDM_ERROR_NO_IMAGE, "this driver, of CUDA %d.%d, is too old for it",
                    VERSION_ARGUMENTS(search->driver_version));
  }
  udm_producer_shipped_ptx(search->driver_version, producer);
  const struct buildable_image wanted = {search->device_arch,        UDM_IMAGE_SHIPPED_PTX,
                                         KERNEL_FROM_SHIPPED_PTX,    producer,
                                         "the PTX that udm carries", build_from_shipped_ptx};
  return next_cached_or_built(search, &wanted, error);
}

const struct image_source udm_image_sources[] = {
    {"cache", next_of_cache},
    {"NVRTC", next_of_nvrtc},
    {"cache, same major", next_of_cache_same_major},
    {"PTX of NVRTC", next_of_nvrtc_ptx},
    {"shipped PTX", next_of_shipped_ptx},
};
const int udm_image_source_count = sizeof udm_image_sources / sizeof udm_image_sources[0];
