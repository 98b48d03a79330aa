/*
 * image_resolve.c: walks the image sources.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/image_resolve.h"

#include <string.h>

#include "core/allocator.h"

/* Each source gets this share of the message, so that a compile log hides no other reason. */
enum { REASON_SHARE = UDM_MESSAGE_SIZE / 5 - 32 };

static udm_status check_arch(int32_t device_arch, struct error *error) {
  if (device_arch >= UDM_LOWEST_ARCH) return UDM_OK;
  return udm_fail(error, UDM_ERROR_NO_IMAGE,
                  "a GPU of compute capability %d.%d is not supported: the kernel needs %d.%d or "
                  "later (Volta), with any NVRTC and driver",
                  (int)device_arch / 10, (int)device_arch % 10, UDM_LOWEST_ARCH / 10,
                  UDM_LOWEST_ARCH % 10);
}

udm_status udm_image_search_begin(const struct settings *settings, int32_t device_arch,
                                  const struct driver *driver, struct image_search **search,
                                  struct error *error) {
  int version = 0;
  *search = NULL;
  const udm_status status = check_arch(device_arch, error);
  if (status != UDM_OK) return status;
  const CUresult result = driver ? driver->cuDriverGetVersion(&version) : CUDA_SUCCESS;
  if (result != CUDA_SUCCESS) {
    return udm_fail_driver(driver, UDM_ERROR_DRIVER, "cuDriverGetVersion", NULL, result, error);
  }
  struct image_search *made = udm_calloc(1, sizeof *made);
  if (!made) return udm_fail_memory(error, "the search for an image", sizeof *made);
  made->settings = settings;
  made->driver = driver;
  made->driver_version = version;
  made->device_arch = device_arch;
  made->reason = (struct error){made->reason_text, sizeof made->reason_text};
  made->lock.file = -1;
  made->lookup_flags = CACHE_LOOKUP_FIRST;
  if (driver) made->lookup_flags |= CACHE_LOOKUP_REPAIR; /* a plan changes nothing */
  *search = made;
  return UDM_OK;
}

static void forget_built(struct image_search *search) {
  udm_free(search->built);
  search->built = NULL;
}

static void go_to_next_source(struct image_search *search) {
  ++search->source;
  search->begun = false;
  search->target = 0;
  search->build_tried = false;
  search->lookup_flags &= ~(unsigned)CACHE_LOOKUP_FIRST;
  forget_built(search);
}

static void keep_reason(struct image_search *search, const char *source) {
  udm_append(search->reasons, sizeof search->reasons, "\n- %s: %.*s", source, REASON_SHARE,
             search->source_text);
  udm_log(search->settings, UDM_LOG_DEBUG, "%s: %s", source, search->source_text);
}

udm_status udm_image_search_next(struct image_search *search, struct error *error) {
  struct error source_error = {search->source_text, sizeof search->source_text};
  for (; search->source < udm_image_source_count; go_to_next_source(search)) {
    const struct image_source *source = &udm_image_sources[search->source];
    const udm_status status = source->next(search, &source_error);
    search->begun = true;
    if (status == UDM_OK) return UDM_OK;
    if (udm_image_is_fatal(status)) return udm_fail(error, status, "%s", search->source_text);
    if (source->name) keep_reason(search, source->name);
  }
  return udm_fail(error, UDM_ERROR_NO_IMAGE, "no kernel image for sm_%d:%s",
                  (int)search->device_arch, search->reasons);
}

static void store_built(struct image_search *search) {
  if (udm_cache_store(search->settings, &search->key.key, search->image.bytes, search->image.size,
                      search->stored_path, &search->reason) == UDM_OK) {
    return;
  }
  udm_log(search->settings, UDM_LOG_WARNING, "the image for %s was built but not cached: %s",
          search->key.arch_name, search->reason_text);
}

void udm_image_search_accept(struct image_search *search) {
  const struct image *image = &search->image;
  if (search->lookup) {
    udm_cache_lookup_accept(search->lookup);
  } else if (search->driver && search->cacheable) {
    store_built(search);
  }
  udm_log(search->settings, UDM_LOG_INFO, "sm_%d %s by %s (sm_%d, %s)", (int)search->device_arch,
          search->driver ? "is served" : "would be served", udm_image_source_name(image->source),
          (int)image->arch, image->origin);
}

void udm_image_search_reject(struct image_search *search) {
  udm_log(search->settings, UDM_LOG_WARNING, "the driver rejected the image from %s: %s",
          search->image.origin, search->reason_text);
  if (search->lookup) {
    udm_cache_lookup_reject(search->lookup, CACHE_MISS_REJECTED, search->reason_text);
  } else {
    forget_built(search);
  }
}

void udm_image_search_end(struct image_search *search) {
  if (!search) return;
  udm_cache_lookup_end(search->lookup, NULL);
  udm_cache_unlock(&search->lock);
  udm_nvrtc_close(&search->nvrtc);
  forget_built(search);
  udm_release_log(&search->held_log);
  udm_free(search);
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
