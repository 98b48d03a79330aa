/*
 * image_rungs.c: the rungs of the image ladder: where each has its images from.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/allocator.h"
#include "core/log.h"
#include "core/status.h"
#include "image/cubin.h"
#include "image/ladder.h"
#include "image/make_image.h"

/* What a cache lookup needs to offer its entries as images for `arch`. */
struct cached_offer {
  struct climb *climb;
  int32_t arch;
};

static enum cache_verdict offer_cached(void *user_data, const struct cache_hit *hit) {
  const struct cached_offer *cached = user_data;
  const enum cache_verdict verdict = udm_check_cached_image(hit, cached->arch);
  if (verdict != CACHE_STOP) return verdict;
  struct image image = {hit->image, hit->image_size, cached->arch, false, UDM_IMAGE_CACHE, ""};
  if (!hit->writable) image.source = UDM_IMAGE_READ_ONLY_LAYER;
  snprintf(image.origin, sizeof image.origin, "%s", hit->path);
  udm_offer_image(cached->climb, &image);
  /* a refused one keeps the lock: the next image has yet to be made, by one process alone */
  if (!cached->climb->refused) udm_cache_unlock(&cached->climb->lock);
  if (cached->climb->broken != UDM_OK) return CACHE_GIVE_UP;
  return cached->climb->refused ? CACHE_REFUSED : CACHE_STOP;
}

/* Of any producer: NVRTC of whatever version, or the driver of some PTX. */
static udm_status offer_cached_images(struct climb *climb, int32_t arch) {
  struct kernel_key key;
  struct cached_offer cached = {climb, arch};
  udm_kernel_key(arch, NULL, &key);
  const udm_status status =
      udm_cache_lookup(climb->settings, &key.key, climb->lookup_flags, offer_cached, &cached);
  return climb->broken != UDM_OK ? climb->broken : status;
}

udm_status udm_rung_cache(struct climb *climb) {
  return offer_cached_images(climb, climb->device_arch);
}

udm_status udm_rung_cache_same_major(struct climb *climb) {
  const int32_t lowest = climb->device_arch / 10 * 10;
  for (int32_t arch = climb->device_arch - 1; arch >= lowest; --arch) {
    const udm_status status = offer_cached_images(climb, arch);
    if (status == UDM_OK || climb->broken != UDM_OK) return status;
  }
  return udm_fail(UDM_ERROR_NOT_FOUND, "no usable entry for a lower sm_%dx",
                  (int)climb->device_arch / 10);
}

/* An image that has to be made, unless the cache has it. */
struct recipe {
  struct cached_offer cached; /* first: a look-up in the cache is given the recipe */
  udm_image_source source;
  const char *origin;
  const char *producer;
  int32_t virtual_arch; /* of the PTX, if NVRTC makes one */
  udm_status (*make)(void *recipe, struct made_image *made);
};

static udm_status offer_made(void *user_data, const struct made_image *made) {
  const struct recipe *recipe = user_data;
  struct image image = {made->bytes,  made->size,     recipe->cached.arch,
                        made->is_ptx, recipe->source, ""};
  snprintf(image.origin, sizeof image.origin, "%s", recipe->origin);
  return udm_offer_image(recipe->cached.climb, &image);
}

static udm_status plan_nothing(void *user_data, struct made_image *made) {
  (void)user_data;
  (void)made;
  return UDM_OK;
}

static udm_status follow(struct recipe *recipe) {
  const struct climb *climb = recipe->cached.climb;
  struct kernel_key key;
  struct image_making making;
  udm_kernel_key(recipe->cached.arch, recipe->producer, &key);
  memset(&making, 0, sizeof making);
  making.settings = climb->settings;
  making.key = &key.key;
  making.offer_cached = offer_cached;
  making.make = climb->driver ? recipe->make : plan_nothing;
  making.offer_made = offer_made;
  making.user_data = recipe;
  making.plan = !climb->driver;
  making.lookup_flags = climb->lookup_flags;
  making.locked = true; /* by the climb */
  const udm_status status = udm_make_image(&making);
  if (status == UDM_OK && making.published != UDM_OK) {
    udm_log(climb->settings, UDM_LOG_WARNING, "the image for %s was made but not cached: %s",
            key.label, udm_last_error());
  }
  return climb->broken != UDM_OK ? climb->broken : status;
}

static udm_status open_nvrtc(struct climb *climb) {
  if (climb->settings->no_compile) {
    return udm_fail(UDM_ERROR_NO_IMAGE,
                    "compiling is forbidden (UDM_NO_COMPILE or the option): fill the cache with "
                    "'udm prewarm' where it is allowed");
  }
  if (climb->nvrtc_sought) {
    return climb->nvrtc_status == UDM_OK
               ? UDM_OK
               : udm_fail(climb->nvrtc_status, "there is no usable NVRTC, as said above");
  }
  climb->nvrtc_sought = true;
  climb->nvrtc_status = udm_nvrtc_open(climb->settings, &climb->nvrtc);
  return climb->nvrtc_status;
}

static udm_status compile_cubin(void *user_data, struct made_image *made) {
  const struct recipe *recipe = user_data;
  const struct climb *climb = recipe->cached.climb;
  double milliseconds = 0;
  return udm_kernel_compile(climb->settings, &climb->nvrtc, recipe->cached.arch, &made->bytes,
                            &made->size, &milliseconds);
}

static udm_status offer_compiled_image(struct climb *climb, int32_t target) {
  char producer[UDM_PRODUCER_SIZE];
  udm_producer_nvrtc(&climb->nvrtc, producer);
  struct recipe recipe = {{climb, target}, UDM_IMAGE_NVRTC, climb->nvrtc.path, producer, 0,
                          compile_cubin};
  return follow(&recipe);
}

static enum cache_verdict note_that_there_is_one(void *user_data, const struct cache_hit *hit) {
  (void)hit;
  *(bool *)user_data = true;
  return CACHE_GIVE_UP;
}

static bool has_lower_entry(const struct climb *climb, int32_t lowest) {
  bool found = false;
  for (int32_t arch = climb->device_arch - 1; arch >= lowest && !found; --arch) {
    struct kernel_key key;
    udm_kernel_key(arch, NULL, &key);
    udm_cache_lookup(climb->settings, &key.key, 0, note_that_there_is_one, &found);
  }
  return found;
}

/*
 * What the next rung would find in the cache: NVRTC says which of the lower
 * architectures serves this device. Nothing is made, so no process need wait for
 * another to have asked.
 */
udm_status udm_rung_nvrtc_cached(struct climb *climb) {
  char producer[UDM_PRODUCER_SIZE];
  struct kernel_key key;
  const int32_t lowest = climb->device_arch / 10 * 10;
  if (climb->settings->no_compile || !has_lower_entry(climb, lowest)) return UDM_ERROR_NOT_FOUND;
  udm_status status = open_nvrtc(climb);
  if (status != UDM_OK) return status;
  struct cached_offer cached = {climb,
                                udm_nvrtc_arch_below(&climb->nvrtc, lowest, climb->device_arch)};
  if (cached.arch == 0 || cached.arch == climb->device_arch) return UDM_ERROR_NOT_FOUND;
  udm_producer_nvrtc(&climb->nvrtc, producer);
  udm_kernel_key(cached.arch, producer, &key);
  status = udm_cache_lookup(climb->settings, &key.key, climb->lookup_flags, offer_cached, &cached);
  return climb->broken != UDM_OK ? climb->broken : status;
}

/*
 * NVRTC for the device's own architecture, or for those below it of the same
 * major, the highest first: the next highest may be that of an embedded GPU,
 * whose images a desktop GPU of the same major refuses.
 */
udm_status udm_rung_nvrtc(struct climb *climb) {
  char reasons[UDM_MESSAGE_SIZE / 4] = "";
  const int32_t lowest = climb->device_arch / 10 * 10;
  const struct nvrtc *nvrtc = &climb->nvrtc;
  udm_status status = open_nvrtc(climb);
  if (status != UDM_OK) return status;
  int32_t target = udm_nvrtc_arch_below(nvrtc, lowest, climb->device_arch);
  if (target == 0) {
    return udm_fail(UDM_ERROR_UNSUPPORTED_ARCH,
                    "NVRTC %d.%d (%s) knows no architecture that runs on sm_%d: install %s one",
                    nvrtc->version_major, nvrtc->version_minor, nvrtc->path,
                    (int)climb->device_arch,
                    climb->device_arch < nvrtc->archs[0] ? "an older" : "a newer");
  }
  for (; target != 0; target = udm_nvrtc_arch_below(nvrtc, lowest, target - 1)) {
    status = offer_compiled_image(climb, target);
    if (status == UDM_OK || climb->broken != UDM_OK) return status;
    udm_append(reasons, sizeof reasons, "%ssm_%d: %s", reasons[0] ? "; " : "", (int)target,
               udm_last_error());
  }
  return udm_fail(UDM_ERROR_NO_IMAGE, "%s", reasons);
}

/* To a cubin, or left as it is for a driver that assembles only as it loads. Takes *ptx over. */
static udm_status assemble(const struct recipe *recipe, unsigned char **ptx, size_t size,
                           struct made_image *made) {
  struct climb *climb = recipe->cached.climb;
  const struct image_driver *driver = climb->driver;
  udm_status status = UDM_OK;
  if (driver->assemble) {
    status = driver->assemble(driver->user_data, (const char *)*ptx, recipe->origin, &made->bytes,
                              &made->size);
    if (status != UDM_OK && status != UDM_ERROR_NO_IMAGE) climb->broken = status;
    made->not_to_keep =
        status == UDM_OK && udm_cubin_arch(made->bytes, made->size) != climb->device_arch;
    udm_free(*ptx);
  } else {
    made->bytes = *ptx;
    made->size = size;
    made->is_ptx = true;
    made->not_to_keep = true;
  }
  *ptx = NULL;
  return status;
}

static udm_status make_of_nvrtc_ptx(void *user_data, struct made_image *made) {
  const struct recipe *recipe = user_data;
  const struct climb *climb = recipe->cached.climb;
  unsigned char *ptx = NULL;
  size_t size = 0;
  const udm_status status =
      udm_kernel_compile_ptx(climb->settings, &climb->nvrtc, recipe->virtual_arch, &ptx, &size);
  return status == UDM_OK ? assemble(recipe, &ptx, size, made) : status;
}

static udm_status make_of_shipped_ptx(void *user_data, struct made_image *made) {
  const char *shipped = udm_shipped_ptx();
  const size_t size = strlen(shipped) + 1;
  unsigned char *ptx = udm_malloc(size);
  if (!ptx) return udm_fail_memory("the shipped PTX", size);
  memcpy(ptx, shipped, size);
  return assemble(user_data, &ptx, size, made);
}

/* The driver turns PTX into images as well: so a mode that wants cached ones only forbids it. */
static udm_status may_assemble(const struct climb *climb) {
  if (!climb->settings->cached_only) return UDM_OK;
  return udm_fail(UDM_ERROR_NO_IMAGE,
                  "only cached images are allowed (UDM_NO_COMPILE=strict or the option): fill the "
                  "cache with 'udm prewarm' where it is allowed");
}

udm_status udm_rung_nvrtc_ptx(struct climb *climb) {
  char producer[UDM_PRODUCER_SIZE];
  const struct nvrtc *nvrtc = &climb->nvrtc;
  udm_status status = may_assemble(climb);
  if (status == UDM_OK) status = open_nvrtc(climb);
  if (status != UDM_OK) return status;
  const int32_t virtual_arch = udm_nvrtc_arch_below(nvrtc, UDM_LOWEST_ARCH, climb->device_arch);
  if (virtual_arch == 0) {
    return udm_fail(UDM_ERROR_UNSUPPORTED_ARCH,
                    "NVRTC %d.%d (%s) knows no architecture from sm_%d to sm_%d",
                    nvrtc->version_major, nvrtc->version_minor, nvrtc->path, UDM_LOWEST_ARCH,
                    (int)climb->device_arch);
  }
  udm_producer_nvrtc_ptx(nvrtc, virtual_arch, climb->driver ? climb->driver->version : 0, producer);
  struct recipe recipe = {{climb, climb->device_arch},
                          UDM_IMAGE_NVRTC_PTX,
                          nvrtc->path,
                          producer,
                          virtual_arch,
                          make_of_nvrtc_ptx};
  return follow(&recipe);
}

udm_status udm_rung_shipped_ptx(struct climb *climb) {
  char producer[UDM_PRODUCER_SIZE];
  const udm_status status = may_assemble(climb);
  if (status != UDM_OK) return status;
  udm_producer_shipped_ptx(climb->driver ? climb->driver->version : 0, producer);
  struct recipe recipe = {
      {climb, climb->device_arch}, UDM_IMAGE_SHIPPED_PTX, "the PTX that udm carries", producer, 0,
      make_of_shipped_ptx};
  return follow(&recipe);
}
