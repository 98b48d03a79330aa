/*
 * image.c: the rungs of the image ladder, and the climb.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "cache_lock.h"
#include "compile.h"
#include "cubin.h"
#include "host_memory.h"
#include "log.h"
#include "status.h"

struct climb {
  const struct settings *settings;
  int32_t device_arch;
  image_load_callback load; /* NULL: only a plan is wanted */
  void *user_data;
  struct image *taken;
  bool refused;      /* the image that was offered last */
  udm_status broken; /* not OK: something other than an image failed, and the climb ends */
  unsigned lookup_flags;
  struct cache_lock lock; /* of whoever makes an image for this architecture */
};

/*
 * A rung offers its images until one is taken (OK) or the climb is broken; it
 * fails with the reason when it has none that is taken.
 */
typedef udm_status (*rung_function)(struct climb *climb);

/* OK: taken, or in a plan: would be offered. */
static udm_status offer(struct climb *climb, const struct image *image) {
  const udm_status status = climb->load ? climb->load(climb->user_data, image) : UDM_OK;
  climb->refused = status == UDM_ERROR_NO_IMAGE;
  if (status == UDM_OK) {
    *climb->taken = *image;
    climb->taken->bytes = NULL;
  } else if (climb->refused) {
    udm_log(climb->settings, UDM_LOG_WARNING, "the image from %s was refused: %s", image->origin,
            udm_last_error());
  } else {
    climb->broken = status;
  }
  return status;
}

/* What a cache lookup needs to offer its entries as images for `arch`. */
struct cached_offer {
  struct climb *climb;
  int32_t arch;
};

static enum cache_verdict offer_cached(void *user_data, const struct cache_hit *hit) {
  const struct cached_offer *cached = user_data;
  const int32_t made_for = udm_cubin_arch(hit->image, hit->image_size);
  if (made_for != cached->arch) {
    udm_fail(UDM_ERROR_NO_IMAGE, "it holds a cubin for sm_%d, not sm_%d", (int)made_for,
             (int)cached->arch);
    return CACHE_WRONG_ARCH;
  }
  /* the driver is told no size: it would read beyond the end of a cubin that lacks its own */
  const char *damage = udm_cubin_damage(hit->image, hit->image_size);
  if (damage) {
    udm_fail(UDM_ERROR_NO_IMAGE, "%s", damage);
    return CACHE_REFUSED;
  }
  udm_cache_unlock(&cached->climb->lock); /* those who wait need not wait for the driver, too */
  struct image image = {hit->image, hit->image_size, cached->arch,
                        hit->writable ? UDM_IMAGE_CACHE : UDM_IMAGE_READ_ONLY_LAYER, ""};
  snprintf(image.origin, sizeof image.origin, "%s", hit->path);
  offer(cached->climb, &image);
  if (cached->climb->broken != UDM_OK) return CACHE_GIVE_UP;
  return cached->climb->refused ? CACHE_REFUSED : CACHE_STOP;
}

/* producer: of this NVRTC alone, or of any when it is NULL. */
static udm_status offer_cached_images(struct climb *climb, int32_t arch,
                                      const struct nvrtc *producer) {
  struct kernel_key key;
  struct cached_offer cached = {climb, arch};
  udm_kernel_key(arch, producer, &key);
  const udm_status status =
      udm_cache_lookup(climb->settings, &key.key, climb->lookup_flags, offer_cached, &cached);
  return climb->broken != UDM_OK ? climb->broken : status;
}

static udm_status rung_cache(struct climb *climb) {
  return offer_cached_images(climb, climb->device_arch, NULL);
}

/* Published only once the driver has taken it, so that no bad image comes back. */
static udm_status offer_compiled_image(struct climb *climb, const struct nvrtc *nvrtc,
                                       int32_t target) {
  struct image image = {NULL, 0, target, UDM_IMAGE_NVRTC, ""};
  unsigned char *cubin = NULL;
  double milliseconds = 0;
  char path[UDM_PATH_SIZE];
  memcpy(image.origin, nvrtc->path, sizeof image.origin);
  if (!climb->load) return offer(climb, &image);
  udm_status status =
      udm_kernel_compile(climb->settings, nvrtc, target, &cubin, &image.size, &milliseconds);
  if (status != UDM_OK) return status;
  image.bytes = cubin;
  status = offer(climb, &image);
  if (status == UDM_OK &&
      udm_kernel_publish(climb->settings, nvrtc, target, cubin, image.size, path) != UDM_OK) {
    udm_log(climb->settings, UDM_LOG_WARNING, "sm_%d was compiled but not cached: %s", (int)target,
            udm_last_error());
  }
  udm_free(cubin);
  return status;
}

static udm_status offer_with_nvrtc(struct climb *climb, const struct nvrtc *nvrtc) {
  const int32_t target = udm_nvrtc_target_arch(nvrtc, climb->device_arch);
  if (target == 0) {
    return udm_fail(UDM_ERROR_UNSUPPORTED_ARCH,
                    "NVRTC %d.%d (%s) knows no architecture that runs on sm_%d: install %s one",
                    nvrtc->version_major, nvrtc->version_minor, nvrtc->path,
                    (int)climb->device_arch,
                    climb->device_arch < nvrtc->archs[0] ? "an older" : "a newer");
  }
  if (target != climb->device_arch) {
    const udm_status status = offer_cached_images(climb, target, nvrtc);
    if (status == UDM_OK || climb->broken != UDM_OK) return status;
  }
  return offer_compiled_image(climb, nvrtc, target);
}

/* NVRTC for the device's own architecture, or the best below it of the same major. */
static udm_status rung_nvrtc(struct climb *climb) {
  struct nvrtc nvrtc;
  if (climb->settings->no_compile) {
    return udm_fail(UDM_ERROR_NO_IMAGE,
                    "compiling is forbidden (UDM_NO_COMPILE or the option): fill the cache with "
                    "'udm prewarm' where it is allowed");
  }
  udm_status status = udm_nvrtc_open(climb->settings, &nvrtc);
  if (status != UDM_OK) return status;
  status = offer_with_nvrtc(climb, &nvrtc);
  udm_nvrtc_close(&nvrtc);
  return status;
}

/* A cached cubin for a lower architecture of the same major runs too. */
static udm_status rung_cache_same_major(struct climb *climb) {
  const int32_t lowest = climb->device_arch / 10 * 10;
  for (int32_t arch = climb->device_arch - 1; arch >= lowest; --arch) {
    const udm_status status = offer_cached_images(climb, arch, NULL);
    if (status == UDM_OK || climb->broken != UDM_OK) return status;
  }
  return udm_fail(UDM_ERROR_NOT_FOUND, "no usable entry for a lower sm_%dx",
                  (int)climb->device_arch / 10);
}

static const struct rung {
  const char *name;
  rung_function offer_images;
} ladder[] = {
    {"cache", rung_cache},
    {"NVRTC", rung_nvrtc},
    {"cache, same major", rung_cache_same_major},
};

enum { RUNGS = sizeof ladder / sizeof ladder[0] };

/* An equal share of the message for each rung, so that a compile log hides no other reason. */
enum { REASON_SHARE = UDM_MESSAGE_SIZE / RUNGS - 32 };

static void remember_reason(char reasons[UDM_MESSAGE_SIZE], const char *rung) {
  udm_append(reasons, UDM_MESSAGE_SIZE, "\n- %s: %.*s", rung, REASON_SHARE, udm_last_error());
}

/* Whether the climb is over: an image was taken, or something other than an image failed. */
static bool climb_rung(struct climb *climb, int rung, char reasons[UDM_MESSAGE_SIZE],
                       udm_status *status) {
  *status = ladder[rung].offer_images(climb);
  if (climb->broken != UDM_OK) *status = climb->broken;
  if (*status == UDM_OK || climb->broken != UDM_OK) return true;
  remember_reason(reasons, ladder[rung].name);
  udm_log(climb->settings, UDM_LOG_DEBUG, "%s: %s", ladder[rung].name, udm_last_error());
  return false;
}

/*
 * Of all processes and threads that miss, one makes the image. The others find
 * it in the cache when they get the lock; what they find is not a miss again.
 */
static bool find_what_another_made(struct climb *climb, udm_status *status) {
  struct kernel_key key;
  udm_kernel_key(climb->device_arch, NULL, &key);
  udm_cache_lock_key(climb->settings, &key.key, &climb->lock);
  *status = rung_cache(climb);
  return *status == UDM_OK || climb->broken != UDM_OK;
}

static udm_status climb_ladder(struct climb *climb) {
  char reasons[UDM_MESSAGE_SIZE] = "";
  udm_status status = UDM_OK;
  if (climb_rung(climb, 0, reasons, &status)) return status;
  climb->lookup_flags &= ~(unsigned)CACHE_LOOKUP_FIRST;
  const bool makes_images = climb->load && !climb->settings->no_compile;
  if (makes_images && find_what_another_made(climb, &status)) return status;
  for (int i = 1; i < RUNGS; ++i) {
    if (climb_rung(climb, i, reasons, &status)) return status;
  }
  return udm_fail(UDM_ERROR_NO_IMAGE, "no kernel image for sm_%d:%s", (int)climb->device_arch,
                  reasons);
}

udm_status udm_image_serve(const struct settings *settings, int32_t device_arch,
                           image_load_callback load, void *user_data, struct image *taken) {
  struct climb climb = {
      .settings = settings,
      .device_arch = device_arch,
      .load = load,
      .user_data = user_data,
      .taken = taken,
      /* a plan changes nothing */
      .lookup_flags = CACHE_LOOKUP_FIRST | (load ? (unsigned)CACHE_LOOKUP_REPAIR : 0u),
      .lock = UDM_CACHE_LOCK_INIT,
  };
  const udm_status status = climb_ladder(&climb);
  udm_cache_unlock(&climb.lock);
  if (status == UDM_OK) {
    udm_log(settings, UDM_LOG_INFO, "sm_%d is served by %s (sm_%d, %s)", (int)device_arch,
            udm_image_source_name(taken->source), (int)taken->arch, taken->origin);
  }
  return status;
}

const char *udm_image_source_name(udm_image_source source) {
  switch (source) {
    case UDM_IMAGE_NONE:
      return "none";
    case UDM_IMAGE_CACHE:
      return "cache";
    case UDM_IMAGE_READ_ONLY_LAYER:
      return "read-only layer";
    case UDM_IMAGE_NVRTC:
      return "nvrtc";
  }
  return "none";
}
