/*
 * query_image.c: the public function that says which image would serve a device.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "core/allocator.h"
#include "core/struct_size.h"
#include "image/image_resolve.h"

/*
 * The walk of udm_create() without a driver: its first image is the answer. The caller frees the
 * plan, which is NULL on failure, with udm_free().
 */
static udm_status plan_image(const udm_options *options, int32_t arch, udm_image_plan **made,
                             struct error *error) {
  struct settings settings;
  struct image_search *search = NULL;
  if (arch < 10) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "arch is %d: it must be 10 * major + minor, such as 90 for compute capability "
                    "9.0",
                    (int)arch);
  }
  udm_status status = udm_settings_resolve(options, &settings, error);
  if (status == UDM_OK) status = udm_image_search_begin(&settings, arch, NULL, &search, error);
  if (status == UDM_OK) status = udm_image_search_next(search, error);
  udm_image_plan *plan = status == UDM_OK ? udm_calloc(1, sizeof *plan) : NULL;
  if (status == UDM_OK && !plan) status = udm_fail_memory(error, "a plan", sizeof *plan);
  if (status == UDM_OK) {
    udm_image_search_accept(search);
    plan->struct_size = sizeof *plan;
    plan->source = search->image.source;
    plan->image_arch = search->image.arch;
    memcpy(plan->detail, search->image.origin, sizeof plan->detail);
    snprintf(plan->skipped, sizeof plan->skipped, "%s",
             search->reasons + (search->reasons[0] == '\n'));
  }
  udm_image_search_end(search);
  *made = plan;
  return status;
}

udm_status udm_plan_image(const udm_options *options, int32_t arch, udm_image_plan *plan) {
  struct error *const error = udm_thread_error();
  udm_status status = udm_check_struct("plan", plan, UDM_SIZE_UP_TO(udm_image_plan, detail), error);
  if (status != UDM_OK) return status;
  udm_image_plan *full = NULL; /* too large for the stack */
  status = plan_image(options, arch, &full, error);
  if (status == UDM_OK) udm_fill_struct(plan, full, sizeof *full);
  udm_free(full);
  return status;
}
