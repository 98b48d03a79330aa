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
#include "compile.h"
#include "cubin.h"
#include "log.h"
#include "status.h"

struct climb {
  const struct settings *settings;
  int32_t device_arch;
  bool plan_only;
};

/*
 * A rung finds its image, or fails with the reason. In a plan it describes the
 * image it would make, and leaves bytes NULL.
 */
typedef udm_status (*rung_function)(const struct climb *climb, struct image *image);

static udm_status image_from_cache(const struct climb *climb, const struct kernel_key *key,
                                   int32_t arch, struct image *image) {
  struct cache_hit hit;
  const udm_status status = udm_cache_lookup(climb->settings, &key->key, &hit);
  if (status != UDM_OK) return status;
  const int32_t made_for = udm_cubin_arch(hit.bytes, hit.image_size);
  if (made_for != arch) {
    free(hit.bytes);
    return udm_fail(UDM_ERROR_NOT_FOUND, "%s holds a cubin for sm_%d, not sm_%d", hit.path,
                    (int)made_for, (int)arch);
  }
  image->bytes = hit.bytes;
  image->size = hit.image_size;
  image->arch = arch;
  image->source = hit.writable ? UDM_IMAGE_CACHE : UDM_IMAGE_READ_ONLY_LAYER;
  memcpy(image->origin, hit.path, sizeof image->origin);
  return UDM_OK;
}

static udm_status rung_cache(const struct climb *climb, struct image *image) {
  struct kernel_key key;
  udm_kernel_key(climb->device_arch, NULL, &key);
  return image_from_cache(climb, &key, climb->device_arch, image);
}

static udm_status compile_image(const struct climb *climb, const struct nvrtc *nvrtc,
                                int32_t target, struct image *image) {
  double milliseconds = 0;
  char path[UDM_PATH_SIZE];
  image->arch = target;
  image->source = UDM_IMAGE_NVRTC;
  memcpy(image->origin, nvrtc->path, sizeof image->origin);
  if (climb->plan_only) return UDM_OK;
  return udm_kernel_compile(climb->settings, nvrtc, target, &image->bytes, &image->size,
                            &milliseconds, path);
}

/* NVRTC for the device's own architecture, or the best below it of the same major. */
static udm_status rung_nvrtc(const struct climb *climb, struct image *image) {
  struct nvrtc nvrtc;
  struct kernel_key key;
  if (climb->settings->no_compile) {
    return udm_fail(UDM_ERROR_NO_IMAGE, "compiling is forbidden (UDM_NO_COMPILE or the option)");
  }
  udm_status status = udm_nvrtc_open(climb->settings, &nvrtc);
  if (status != UDM_OK) return status;
  const int32_t target = udm_nvrtc_target_arch(&nvrtc, climb->device_arch);
  if (target == 0) {
    status = udm_fail(UDM_ERROR_UNSUPPORTED_ARCH,
                      "NVRTC %d.%d (%s) knows no architecture that runs on sm_%d: install %s one",
                      nvrtc.version_major, nvrtc.version_minor, nvrtc.path, (int)climb->device_arch,
                      climb->device_arch < nvrtc.archs[0] ? "an older" : "a newer");
    goto done;
  }
  if (target != climb->device_arch) {
    udm_kernel_key(target, &nvrtc, &key);
    if (image_from_cache(climb, &key, target, image) == UDM_OK) goto done;
  }
  status = compile_image(climb, &nvrtc, target, image);

done:
  udm_nvrtc_close(&nvrtc);
  return status;
}

/* A cached cubin for a lower architecture of the same major runs too. */
static udm_status rung_cache_same_major(const struct climb *climb, struct image *image) {
  struct kernel_key key;
  const int32_t lowest = climb->device_arch / 10 * 10;
  for (int32_t arch = climb->device_arch - 1; arch >= lowest; --arch) {
    udm_kernel_key(arch, NULL, &key);
    if (image_from_cache(climb, &key, arch, image) == UDM_OK) return UDM_OK;
  }
  return udm_fail(UDM_ERROR_NOT_FOUND, "no usable entry for a lower sm_%dx",
                  (int)climb->device_arch / 10);
}

static const struct rung {
  const char *name;
  rung_function find;
} ladder[] = {
    {"cache", rung_cache},
    {"NVRTC", rung_nvrtc},
    {"cache, same major", rung_cache_same_major},
};

enum { RUNGS = sizeof ladder / sizeof ladder[0] };

static void remember_reason(char reasons[UDM_MESSAGE_SIZE], const char *rung) {
  const size_t used = strlen(reasons);
  snprintf(reasons + used, UDM_MESSAGE_SIZE - used, "\n- %s: %s", rung, udm_last_error());
}

/* The driver refused it: whatever the checksum says, the entry is of no use. */
static void drop_refused(const struct climb *climb, const struct image *image) {
  udm_log(climb->settings, UDM_LOG_WARNING, "the image from %s was refused: %s", image->origin,
          udm_last_error());
  if (image->source == UDM_IMAGE_CACHE) udm_cache_evict(climb->settings, image->origin);
}

udm_status udm_image_serve(const struct settings *settings, int32_t device_arch,
                           image_load_callback load, void *user_data, struct image *taken) {
  const struct climb climb = {settings, device_arch, load == NULL};
  char reasons[UDM_MESSAGE_SIZE] = "";
  for (int i = 0; i < RUNGS; ++i) {
    memset(taken, 0, sizeof *taken);
    udm_status status = ladder[i].find(&climb, taken);
    if (status == UDM_OK && load) {
      status = load(user_data, taken);
      if (status != UDM_OK) drop_refused(&climb, taken);
    }
    free(taken->bytes);
    taken->bytes = NULL;
    if (status == UDM_OK) {
      udm_log(settings, UDM_LOG_INFO, "sm_%d is served by %s (sm_%d, %s)", (int)device_arch,
              udm_image_source_name(taken->source), (int)taken->arch, taken->origin);
      return UDM_OK;
    }
    remember_reason(reasons, ladder[i].name);
    udm_log(settings, UDM_LOG_DEBUG, "%s: %s", ladder[i].name, udm_last_error());
  }
  return udm_fail(UDM_ERROR_NO_IMAGE, "no kernel image for sm_%d:%s", (int)device_arch, reasons);
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
