/*
 * image.c: the climb of the image ladder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/image.h"

#include <string.h>

#include "core/log.h"
#include "core/status.h"
#include "image/ladder.h"

udm_status udm_offer_image(struct climb *climb, const struct image *image) {
  const udm_status status =
      climb->driver ? climb->driver->load(climb->driver->user_data, image) : UDM_OK;
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

static const struct rung {
  const char *name;
  rung_function offer_images;
} ladder[] = {
    {"cache", udm_rung_cache},
    {"NVRTC", udm_rung_nvrtc},
    {"cache, same major", udm_rung_cache_same_major},
    {"PTX of NVRTC", udm_rung_nvrtc_ptx},
    {"shipped PTX", udm_rung_shipped_ptx},
};

enum { RUNGS = sizeof ladder / sizeof ladder[0] };

/* An equal share of the message for each rung, so that a compile log hides no other reason. */
enum { REASON_SHARE = UDM_MESSAGE_SIZE / RUNGS - 32 };

static void remember_reason(image_reasons reasons, const char *rung) {
  udm_append(reasons, UDM_MESSAGE_SIZE, "\n- %s: %.*s", rung, REASON_SHARE, udm_last_error());
}

/* Whether the climb is over: an image was taken, or something other than an image failed. */
static bool climb_rung(struct climb *climb, const struct rung *rung, image_reasons reasons,
                       udm_status *status) {
  *status = rung->offer_images(climb);
  if (climb->broken != UDM_OK) *status = climb->broken;
  if (*status == UDM_OK || climb->broken != UDM_OK) return true;
  remember_reason(reasons, rung->name);
  udm_log(climb->settings, UDM_LOG_DEBUG, "%s: %s", rung->name, udm_last_error());
  return false;
}

/* Before anybody waits for anybody: a lower architecture's entry may be what serves. */
static bool find_what_nvrtc_made(struct climb *climb, udm_status *status) {
  *status = udm_rung_nvrtc_cached(climb);
  return *status == UDM_OK || climb->broken != UDM_OK;
}

/*
 * Of all processes and threads that miss, one makes the image. The others find
 * it in the cache when they get the lock; what they find is not a miss again.
 */
static bool find_what_another_made(struct climb *climb, udm_status *status) {
  struct kernel_key key;
  udm_kernel_key(climb->device_arch, NULL, &key);
  udm_cache_lock_key(climb->settings, &key.key, &climb->lock);
  *status = udm_rung_cache(climb);
  return *status == UDM_OK || climb->broken != UDM_OK;
}

static udm_status climb_ladder(struct climb *climb, image_reasons reasons) {
  udm_status status = UDM_OK;
  if (climb_rung(climb, &ladder[0], reasons, &status)) return status;
  climb->lookup_flags &= ~(unsigned)CACHE_LOOKUP_FIRST;
  const bool makes_images = climb->driver && !climb->settings->cached_only;
  if (makes_images && find_what_nvrtc_made(climb, &status)) return status;
  if (makes_images && find_what_another_made(climb, &status)) return status;
  for (int i = 1; i < RUNGS; ++i) {
    if (climb_rung(climb, &ladder[i], reasons, &status)) return status;
  }
  return udm_fail(UDM_ERROR_NO_IMAGE, "no kernel image for sm_%d:%s", (int)climb->device_arch,
                  reasons);
}

static udm_status check_arch(int32_t device_arch) {
  if (device_arch >= UDM_LOWEST_ARCH) return UDM_OK;
  return udm_fail(UDM_ERROR_NO_IMAGE,
                  "a GPU of compute capability %d.%d cannot be served: the kernel is for %d.%d "
                  "and later (Volta), whatever NVRTC and driver there are",
                  (int)device_arch / 10, (int)device_arch % 10, UDM_LOWEST_ARCH / 10,
                  UDM_LOWEST_ARCH % 10);
}

udm_status udm_image_serve(const struct settings *settings, int32_t device_arch,
                           const struct image_driver *driver, struct image *taken,
                           image_reasons *reasons) {
  struct climb climb;
  image_reasons own = "";
  char *where = reasons ? *reasons : own;
  where[0] = '\0';
  udm_status status = check_arch(device_arch);
  if (status != UDM_OK) return status;
  memset(&climb, 0, sizeof climb);
  climb.settings = settings;
  climb.device_arch = device_arch;
  climb.driver = driver;
  climb.taken = taken;
  climb.lock.file = -1;
  climb.lookup_flags = CACHE_LOOKUP_FIRST;
  if (driver) climb.lookup_flags |= CACHE_LOOKUP_REPAIR; /* a plan changes nothing */
  status = climb_ladder(&climb, where);
  udm_cache_unlock(&climb.lock);
  udm_nvrtc_close(&climb.nvrtc);
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
    case UDM_IMAGE_NVRTC_PTX:
      return "nvrtc ptx";
    case UDM_IMAGE_SHIPPED_PTX:
      return "shipped ptx";
  }
  return "none";
}
