/*
 * image_resolve.c: walks the image sources.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/image_resolve.h"

#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/allocator.h"
#include "core/counters.h"

/* Each source gets this share of the message, so that a compile log hides no other reason. */
enum { REASON_SHARE = UDM_MESSAGE_SIZE / 5 - 32 };

/* ------------------------------------------------------------------------
 * Refused images
 * --------------------------------------------------------------------- */

static uint64_t hash_of(const char *text) { return XXH3_64bits(text, strlen(text)); }

void udm_image_remember_refused(struct image_search *search) {
  const struct image *image = &search->image;
  const int version = udm_producer_cuda_version(image->producer);
  if (version > search->refused_version) search->refused_version = version;
  if (search->refused_count == MOST_REFUSED) return;
  struct refused_image *refused = &search->refused[search->refused_count++];
  refused->arch = image->arch;
  refused->writable = image->source == UDM_IMAGE_CACHE;
  refused->producer = hash_of(image->producer);
  refused->origin = hash_of(image->origin);
}

bool udm_image_refusal_is_expected(const struct image_search *search, int32_t arch,
                                   const char *producer) {
  const int version = udm_producer_cuda_version(producer);
  return arch != search->device_arch || version / 1000 > search->driver_version / 1000;
}

bool udm_image_was_refused(const struct image_search *search, int32_t arch, const char *producer) {
  for (int i = 0; i < search->refused_count; ++i) {
    const struct refused_image *refused = &search->refused[i];
    if (refused->arch == arch && refused->producer == hash_of(producer)) return true;
  }
  return false;
}

bool udm_image_file_was_refused(const struct image_search *search, const char *path) {
  for (int i = 0; i < search->refused_count; ++i) {
    if (search->refused[i].origin == hash_of(path)) return true;
  }
  return false;
}

/* ------------------------------------------------------------------------
 * What to do for a better image: what fits this driver, this NVRTC and what is allowed
 * --------------------------------------------------------------------- */

/* NVRTC of CUDA 13 no longer knows what is older than this. */
enum { LOWEST_ARCH_OF_CUDA_13 = 75, NEWEST_WITH_NUMBERED_WHEEL = 12, OLDEST_WITH_WHEEL = 11 };

static bool is_best(const struct image_search *search) {
  const struct image *image = &search->image;
  return image->source != UDM_IMAGE_NONE && image->maker == KERNEL_BY_NVRTC &&
         image->arch == search->device_arch;
}

const char *udm_kernel_maker_text(enum kernel_maker maker) {
  switch (maker) {
    case KERNEL_BY_NVRTC:
      return "a cubin of NVRTC";
    case KERNEL_FROM_NVRTC_PTX:
      return "assembled from PTX of NVRTC";
    case KERNEL_FROM_SHIPPED_PTX:
      return "assembled from the shipped PTX";
    case KERNEL_MAKERS:
      break;
  }
  return "none";
}

/* The newest CUDA major version whose NVRTC knows the device and makes what the driver reads. */
static int wanted_major(const struct image_search *search) {
  const int newest = search->device_arch < LOWEST_ARCH_OF_CUDA_13 ? NEWEST_WITH_NUMBERED_WHEEL : 0;
  const int of_driver = search->driver_version / 1000;
  return newest && (of_driver == 0 || of_driver > newest) ? newest : of_driver;
}

/* "an NVRTC of CUDA 12 (pip install nvidia-cuda-nvrtc-cu12)" */
static void name_nvrtc(const struct image_search *search, char *text, size_t size) {
  const int major = wanted_major(search);
  if (major == 0) {
    snprintf(text, size,
             "an NVRTC no newer than the driver's CUDA (pip install nvidia-cuda-nvrtc; for CUDA "
             "12: nvidia-cuda-nvrtc-cu12)");
  } else if (major > NEWEST_WITH_NUMBERED_WHEEL) {
    snprintf(text, size, "an NVRTC of CUDA %d (pip install nvidia-cuda-nvrtc)", major);
  } else if (major >= OLDEST_WITH_WHEEL) {
    snprintf(text, size, "an NVRTC of CUDA %d (pip install nvidia-cuda-nvrtc-cu%d)", major, major);
  } else {
    snprintf(text, size, "an NVRTC of CUDA %d", major);
  }
}

/* "udm prewarm --arch sm_90 --for-driver 12.8" */
static void name_prewarm(const struct image_search *search, char *text, size_t size) {
  snprintf(text, size, "udm prewarm --arch sm_%d", (int)search->device_arch);
  if (search->driver_version == 0) return;
  udm_append(text, size, " --for-driver %d.%d", VERSION_ARGUMENTS(search->driver_version));
}

static void advise_without_compiling(const struct image_search *search, const char *nvrtc,
                                     char advice[UDM_ADVICE_SIZE]) {
  char prewarm[64];
  name_prewarm(search, prewarm, sizeof prewarm);
  snprintf(advice, UDM_ADVICE_SIZE, "fill the cache with '%s' on a machine that may compile, with ",
           prewarm);
  udm_append(advice, UDM_ADVICE_SIZE, "%s", nvrtc);
  if (search->refused_version / 1000 > search->driver_version / 1000) {
    udm_append(advice, UDM_ADVICE_SIZE,
               ": the cache has images of CUDA %d.%d, which this driver, of CUDA %d.%d, refuses",
               VERSION_ARGUMENTS(search->refused_version),
               VERSION_ARGUMENTS(search->driver_version));
  }
}

static bool nvrtc_is_newer_than_driver(const struct image_search *search) {
  return search->driver_version && search->nvrtc.version_major > search->driver_version / 1000;
}

static bool nvrtc_knows_device(const struct image_search *search) {
  return udm_nvrtc_arch_below(&search->nvrtc, search->device_arch, search->device_arch) != 0;
}

static void advise_on_nvrtc(const struct image_search *search, const char *nvrtc,
                            char advice[UDM_ADVICE_SIZE]) {
  const struct nvrtc *ours = &search->nvrtc;
  if (nvrtc_is_newer_than_driver(search)) {
    snprintf(
        advice, UDM_ADVICE_SIZE,
        "install %s, or name one in UDM_NVRTC_LIBRARY, or update the driver: NVRTC %d.%d is newer "
        "than the driver's CUDA %d.%d",
        nvrtc, ours->version_major, ours->version_minor, VERSION_ARGUMENTS(search->driver_version));
  } else if (!nvrtc_knows_device(search)) {
    const bool too_new = ours->arch_count > 0 && search->device_arch < ours->archs[0];
    snprintf(advice, UDM_ADVICE_SIZE,
             "install an NVRTC that knows sm_%d, %s than %d.%d and no newer than the driver's "
             "CUDA%s%s%s, "
             "or name one in UDM_NVRTC_LIBRARY",
             (int)search->device_arch, too_new ? "older" : "newer", ours->version_major,
             ours->version_minor, too_new ? " (pip install " : "",
             too_new ? udm_nvrtc_package(search->device_arch) : "", too_new ? ")" : "");
  } else {
    snprintf(advice, UDM_ADVICE_SIZE,
             "mend NVRTC %d.%d, or name another NVRTC in UDM_NVRTC_LIBRARY", ours->version_major,
             ours->version_minor);
  }
}

void udm_image_advise(const struct image_search *search, char advice[UDM_ADVICE_SIZE]) {
  char nvrtc[192];
  advice[0] = '\0';
  name_nvrtc(search, nvrtc, sizeof nvrtc);
  if (is_best(search)) return;
  if (search->settings->no_compile) {
    advise_without_compiling(search, nvrtc, advice);
  } else if (search->nvrtc_tried && search->nvrtc_status == UDM_OK) {
    advise_on_nvrtc(search, nvrtc, advice);
  } else {
    snprintf(advice, UDM_ADVICE_SIZE, "install %s, or name one in UDM_NVRTC_LIBRARY", nvrtc);
  }
  if (search->image.source == UDM_IMAGE_NONE && search->driver_version &&
      search->driver_version < CUDA_OF_SHIPPED_PTX && !search->settings->cached_only) {
    udm_append(advice, UDM_ADVICE_SIZE,
               "; or update the driver: one of CUDA %d.%d or later takes the PTX that udm carries",
               VERSION_ARGUMENTS(CUDA_OF_SHIPPED_PTX));
  }
}

/* ------------------------------------------------------------------------
 * The walk
 * --------------------------------------------------------------------- */

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
  /* a plan changes, counts and reports nothing */
  if (driver) made->lookup_flags = CACHE_LOOKUP_FIRST | CACHE_LOOKUP_REPAIR;
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
  search->second_half = false;
  search->lookup_flags &= ~(unsigned)CACHE_LOOKUP_FIRST;
  forget_built(search);
}

static void keep_reason(struct image_search *search, const char *source) {
  udm_append(search->reasons, sizeof search->reasons, "\n- %s: %.*s", source, REASON_SHARE,
             search->source_text);
  udm_log(search->settings, UDM_LOG_DEBUG, "%s: %s", source, search->source_text);
  /* where compiling is allowed, the reason of NVRTC, the second source, takes the cache's place */
  if (search->source == 0 || (search->source == 1 && !search->settings->no_compile)) {
    snprintf(search->best_reason, sizeof search->best_reason, "%.*s",
             (int)sizeof search->best_reason - 1, search->source_text);
  }
}

udm_status udm_image_search_next(struct image_search *search, struct error *error) {
  struct error source_error = {search->source_text, sizeof search->source_text};
  for (; search->source < udm_image_source_count; go_to_next_source(search)) {
    const struct image_source *source = &udm_image_sources[search->source];
    const udm_status status = source->next(search, &source_error);
    search->begun = true;
    if (status == UDM_OK) return UDM_OK;
    if (udm_image_is_fatal(status)) return udm_fail(error, status, "%s", search->source_text);
    keep_reason(search, source->name);
  }
  search->image.source = UDM_IMAGE_NONE;
  char advice[UDM_ADVICE_SIZE];
  udm_image_advise(search, advice);
  return udm_fail(error, UDM_ERROR_NO_IMAGE, "no kernel image for sm_%d:%s%s%s",
                  (int)search->device_arch, search->reasons, advice[0] ? "\nTo do: " : "", advice);
}

void udm_image_search_leave_source(struct image_search *search) {
  udm_cache_lookup_end(search->lookup, NULL);
  search->lookup = NULL;
  go_to_next_source(search);
}

static void store_built(struct image_search *search) {
  char text[UDM_MESSAGE_SIZE / 8] = "";
  struct error reason = {text, sizeof text};
  if (udm_cache_store(search->settings, &search->key.key, search->image.bytes, search->image.size,
                      search->stored_path, &reason) == UDM_OK) {
    return;
  }
  udm_log(search->settings, UDM_LOG_WARNING, "the image for %s was built but not cached: %s",
          search->key.arch_name, text);
}

static bool replaces_refused_entry(const struct image_search *search) {
  const struct image *image = &search->image;
  for (int i = 0; i < search->refused_count; ++i) {
    const struct refused_image *refused = &search->refused[i];
    if (refused->writable && refused->arch == image->arch &&
        refused->producer == hash_of(image->producer)) {
      return true;
    }
  }
  return false;
}

/* One line says that a lesser image serves, why, and what to do about it. */
static void warn_of_lesser_image(const struct image_search *search) {
  const struct image *image = &search->image;
  char advice[UDM_ADVICE_SIZE];
  if (is_best(search)) return;
  udm_image_advise(search, advice);
  udm_log(search->settings, UDM_LOG_WARNING,
          "sm_%d is served by a lesser image, %s (sm_%d, %s), and not by NVRTC's cubin for sm_%d: "
          "%s%s%s",
          (int)search->device_arch, udm_kernel_maker_text(image->maker), (int)image->arch,
          image->origin, (int)search->device_arch, search->best_reason,
          advice[0] ? ". To do: " : "", advice);
}

void udm_image_search_accept(struct image_search *search) {
  const struct image *image = &search->image;
  if (search->lookup) {
    if (search->driver) udm_cache_lookup_accept(search->lookup);
  } else if (search->driver && search->cacheable) {
    if (replaces_refused_entry(search)) udm_count(repairs);
    store_built(search);
  }
  udm_log(search->settings, UDM_LOG_INFO, "sm_%d %s by %s (sm_%d, %s)", (int)search->device_arch,
          search->driver ? "is served" : "would be served", udm_image_source_name(image->source),
          (int)image->arch, image->origin);
  if (search->driver) warn_of_lesser_image(search);
}

/*
 * If the refusal was to be expected, NVRTC's image is kept all the same: it would make the same one
 * again, at every start, and another node's driver may take it.
 */
void udm_image_search_reject(struct image_search *search) {
  udm_log(search->settings, UDM_LOG_INFO, "the driver rejected the image from %s: %s",
          search->image.origin, search->reason_text);
  udm_image_remember_refused(search);
  if (search->lookup) {
    udm_cache_lookup_pass_over(search->lookup, search->reason_text);
    return;
  }
  const struct image *image = &search->image;
  if (search->cacheable && udm_image_refusal_is_expected(search, image->arch, image->producer)) {
    store_built(search);
  }
  forget_built(search);
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
