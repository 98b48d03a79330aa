/*
 * query_image.c: the public function that says which image would serve a device.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/allocator.h"
#include "core/struct_size.h"
#include "image/image_resolve.h"

static udm_status check_arch(int32_t arch, struct error *error) {
  if (arch >= 10) return UDM_OK;
  return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                  "arch is %d: it must be 10 * major + minor, such as 90 for compute capability "
                  "9.0",
                  (int)arch);
}

/* 0 if there is no driver: then no image is passed over because of it. */
static int driver_version(const struct settings *settings) {
  struct driver driver;
  int version = 0;
  if (udm_driver_open(settings, &driver, NULL) != UDM_OK) return 0;
  if (driver.cuDriverGetVersion(&version) != CUDA_SUCCESS) version = 0;
  udm_driver_close(&driver);
  return version;
}

/* What would serve if the better ones did not. Two sources may find the same entry. */
static void list_lesser(struct image_search *search, udm_image_plan *plan) {
  udm_image_source source = search->image.source;
  char origin[UDM_PATH_SIZE];
  memcpy(origin, search->image.origin, sizeof origin);
  for (udm_image_search_leave_source(search); udm_image_search_next(search, NULL) == UDM_OK;
       udm_image_search_leave_source(search)) {
    const struct image *image = &search->image;
    if (source != image->source || strcmp(origin, image->origin) != 0) {
      udm_append(plan->lesser, sizeof plan->lesser, "%s- %s: %s", plan->lesser[0] ? "\n" : "",
                 udm_image_source_name(image->source), image->origin);
    }
    source = image->source;
    memcpy(origin, image->origin, sizeof origin);
  }
}

/* The walk of udm_create() without a driver: the first image is the answer. */
static udm_status plan_image(const struct settings *settings, int32_t arch, bool with_lesser,
                             udm_image_plan *plan, struct error *error) {
  struct image_search *search = NULL;
  udm_status status = udm_image_search_begin(settings, arch, NULL, &search, error);
  if (status == UDM_OK) {
    search->driver_version = driver_version(settings);
    status = udm_image_search_next(search, error);
  }
  if (status == UDM_OK) {
    udm_image_search_accept(search);
    plan->source = search->image.source;
    plan->image_arch = search->image.arch;
    plan->driver_version = search->driver_version;
    memcpy(plan->detail, search->image.origin, sizeof plan->detail);
    udm_image_producer_line(search->image.producer, plan->producer);
    udm_image_advise(search, plan->advice);
    snprintf(plan->skipped, sizeof plan->skipped, "%s",
             search->reasons + (search->reasons[0] == '\n'));
    if (with_lesser) list_lesser(search, plan);
  }
  udm_image_search_end(search);
  return status;
}

udm_status udm_plan_image(const udm_options *options, int32_t arch, udm_image_plan *plan) {
  struct error *const error = udm_thread_error();
  struct settings settings;
  udm_image_plan *full = NULL; /* too large for a stack frame */
  udm_status status = udm_check_struct("plan", plan, UDM_SIZE_UP_TO(udm_image_plan, detail), error);
  if (status == UDM_OK) status = check_arch(arch, error);
  if (status == UDM_OK) status = udm_settings_resolve(options, &settings, error);
  if (status != UDM_OK) return status;
  full = udm_calloc(1, sizeof *full);
  if (!full) return udm_fail_memory(error, "the plan of an image", sizeof *full);
  full->struct_size = sizeof *full;
  const bool with_lesser = plan->struct_size > offsetof(udm_image_plan, lesser);
  status = plan_image(&settings, arch, with_lesser, full, error);
  if (status == UDM_OK) udm_fill_struct(plan, full, sizeof *full);
  udm_free(full);
  return status;
}
