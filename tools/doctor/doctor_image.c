/*
 * doctor_image.c: udm doctor on one GPU: which image, why no better one, what to do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "doctor.h"

enum { ADVICE_SIZE = 512 };

void doctor_problem(struct findings *found, const char *text) {
  json_array_append_new(found->problems, output_text(text));
}

/* What NVRTC makes may be unknown to a driver of an older CUDA. */
static bool is_newer_than_driver(const struct findings *found, bool minor_counts) {
  const nvrtc_found *nvrtc = nvrtc_list_first(&found->nvrtcs);
  if (!nvrtc) return false;
  const int32_t version = 1000 * nvrtc->info.version_major + 10 * nvrtc->info.version_minor;
  return minor_counts ? version > found->driver_version
                      : version / 1000 > found->driver_version / 1000;
}

static void advise_on_nvrtc(const struct findings *found, int32_t arch, const udm_image_plan *plan,
                            char text[ADVICE_SIZE]) {
  const bool ptx = plan->source == UDM_IMAGE_NVRTC_PTX;
  const char *refusal =
      "; this NVRTC is of a newer CUDA than the driver, which may refuse what it makes (then the "
      "PTX that udm carries serves): install an NVRTC of the driver's CUDA, or name one in "
      "UDM_NVRTC_LIBRARY";
  char better[96] = "";
  if (plan->image_arch != arch || ptx) {
    snprintf(better, sizeof better, "; for an image of its own, install an NVRTC that knows sm_%d",
             arch);
  }
  snprintf(text, ADVICE_SIZE, "%s%s%s",
           ptx ? "the first start compiles to PTX, and the driver assembles it"
               : "the first start compiles it, in a few seconds; to do that now: udm prewarm",
           better, is_newer_than_driver(found, ptx) ? refusal : "");
}

static void advise_on_shipped_ptx(const struct findings *found, int32_t arch,
                                  char text[ADVICE_SIZE]) {
  enum { CUDA_OF_SHIPPED_PTX = 11080 }; /* ptx/README.md */
  snprintf(text, ADVICE_SIZE,
           "the first start has the driver assemble it%s; for an image of its own, fill the cache "
           "with 'udm prewarm --arch sm_%d' and an NVRTC that knows it (pip install "
           "nvidia-cuda-nvrtc)",
           found->driver_version < CUDA_OF_SHIPPED_PTX
               ? ", which this driver, of before CUDA 11.8, will refuse: update it"
               : "",
           arch);
}

/* What to do; "" if no better image is possible. */
static void advise(const struct findings *found, int32_t arch, const udm_image_plan *plan,
                   char text[ADVICE_SIZE]) {
  text[0] = '\0';
  if (plan->source == UDM_IMAGE_NVRTC || plan->source == UDM_IMAGE_NVRTC_PTX) {
    advise_on_nvrtc(found, arch, plan, text);
  } else if (plan->source == UDM_IMAGE_SHIPPED_PTX) {
    advise_on_shipped_ptx(found, arch, text);
  } else if (plan->image_arch != arch) {
    snprintf(text, ADVICE_SIZE,
             "for an image of its own: udm prewarm --arch sm_%d, with an NVRTC that knows it",
             arch);
  }
}

/* The reason on one line, cut to a readable length. */
static void shorten(const char *reason, size_t length, char *text, size_t size) {
  static const char more[] = " ...";
  size_t used = 0;
  for (size_t i = 0; i < length && used + sizeof more < size; ++i) {
    const bool space = reason[i] == '\n' || reason[i] == ' ';
    if (space && (used == 0 || text[used - 1] == ' ')) continue;
    text[used++] = reason[i];
    if (space) text[used - 1] = ' ';
  }
  text[used] = '\0';
  if (used + sizeof more >= size) memcpy(text + used, more, sizeof more);
}

/* "- name: reason" each, from plan->skipped; programs get all of it. */
static void add_skipped(struct findings *found, const char *skipped, json_t *list) {
  const char *rest = skipped;
  while (*rest) {
    const char *next = strstr(rest, "\n- ");
    const size_t length = next ? (size_t)(next - rest) : strlen(rest);
    if (length > 2) {
      char text[sizeof(((udm_image_plan *)NULL)->skipped)];
      char line[240];
      shorten(rest + 2, length - 2, line, sizeof line);
      table_add(&found->table, "\tnot from %s", line);
      snprintf(text, sizeof text, "%.*s", (int)length - 2, rest + 2);
      json_array_append_new(list, output_text(text));
    }
    rest += next ? length + 1 : length;
  }
}

static void add_no_image(struct findings *found, int32_t ordinal, int32_t arch) {
  char text[9216];
  snprintf(text, sizeof text, "GPU %d (sm_%d) cannot be served: %s", ordinal, arch,
           udm_last_error());
  doctor_problem(found, text);
  table_add(&found->table, "\tno image: see below");
}

json_t *doctor_image(struct findings *found, int32_t ordinal, int32_t arch) {
  udm_image_plan plan = {.struct_size = sizeof plan};
  char advice[ADVICE_SIZE];
  char image_arch[16];
  if (udm_plan_image(found->options, arch, &plan) != UDM_OK) {
    add_no_image(found, ordinal, arch);
    return json_null();
  }
  json_t *skipped = json_array();
  const char *source = udm_image_source_name(plan.source);
  advise(found, arch, &plan, advice);
  snprintf(image_arch, sizeof image_arch, "sm_%d", plan.image_arch);
  table_add(&found->table, "\timage: sm_%d from %s, %s", plan.image_arch, source, plan.detail);
  add_skipped(found, plan.skipped, skipped);
  if (advice[0]) table_add(&found->table, "\tto do: %s", advice);
  return json_pack("{s:s, s:s, s:o, s:o, s:s}", "source", source, "arch", image_arch, "detail",
                   output_text(plan.detail), "skipped", skipped, "advice", advice);
}
