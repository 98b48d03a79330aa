/*
 * doctor_image.c: udm doctor for one GPU: which image udm loads, why no better one, what to do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/child_process.h"
#include "doctor.h"

enum { ADVICE_SIZE = 512 };

void doctor_problem(struct findings *found, const char *text) {
  json_array_append_new(found->problems, output_text(text));
}

/* A driver of an older CUDA may not know what this NVRTC makes. */
static bool is_newer_than_driver(const struct findings *found, bool minor_counts) {
  const struct nvrtc_found *nvrtc = nvrtc_list_first(&found->nvrtcs);
  if (!nvrtc) return false;
  const int32_t version = 1000 * nvrtc->info.version_major + 10 * nvrtc->info.version_minor;
  return minor_counts ? version > found->driver_version
                      : version / 1000 > found->driver_version / 1000;
}

static void advise_on_nvrtc(const struct findings *found, int32_t arch, const udm_image_plan *plan,
                            char text[ADVICE_SIZE]) {
  const bool ptx = plan->source == UDM_IMAGE_NVRTC_PTX;
  const char *too_new =
      "; this NVRTC is newer than the driver's CUDA, so the driver may reject the image (udm then "
      "loads the PTX that it ships): install an NVRTC of the driver's CUDA, or name one in "
      "UDM_NVRTC_LIBRARY";
  char better[160] = "";
  if (plan->image_arch != arch || ptx) {
    snprintf(
        better, sizeof better,
        "; for a cubin of its own architecture, install an NVRTC that knows sm_%d (pip install "
        "%s)",
        arch, nvrtc_package(arch, found->driver_version));
  }
  snprintf(text, ADVICE_SIZE, "%s%s%s",
           ptx ? "the first start compiles to PTX, and the driver assembles it"
               : "the first start compiles it, in a few seconds; to do that now: udm prewarm",
           better, is_newer_than_driver(found, ptx) ? too_new : "");
}

static void advise_on_shipped_ptx(const struct findings *found, int32_t arch,
                                  char text[ADVICE_SIZE]) {
  enum { CUDA_OF_SHIPPED_PTX = 11080 }; /* ptx/README.md */
  snprintf(
      text, ADVICE_SIZE,
      "the driver assembles it at the first start%s; for a cubin of its own architecture, fill "
      "the cache with 'udm prewarm --arch sm_%d' and an NVRTC that knows it (pip install "
      "%s)",
      found->driver_version < CUDA_OF_SHIPPED_PTX
          ? ", but this driver is older than CUDA 11.8 and will reject it: update the driver"
          : "",
      arch, nvrtc_package(arch, found->driver_version));
}

/* Says what to do; "" if there is no better image. */
static void advise(const struct findings *found, int32_t arch, const udm_image_plan *plan,
                   char text[ADVICE_SIZE]) {
  text[0] = '\0';
  if (plan->source == UDM_IMAGE_NVRTC || plan->source == UDM_IMAGE_NVRTC_PTX) {
    advise_on_nvrtc(found, arch, plan, text);
  } else if (plan->source == UDM_IMAGE_SHIPPED_PTX) {
    advise_on_shipped_ptx(found, arch, text);
  } else if (plan->image_arch != arch) {
    snprintf(text, ADVICE_SIZE,
             "for a cubin of its own architecture: udm prewarm --arch sm_%d, with an NVRTC that "
             "knows it",
             arch);
  }
}

/* Puts the reason on one line and cuts it to a readable length. */
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

/* Splits plan->skipped, a list of "- name: reason". The JSON has every reason in full. */
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

/* What a child process works on: the plan of a server that starts here. */
struct server_plan {
  const udm_options *options;
  int32_t arch;
  udm_image_plan plan;
};

static void plan_as_server(void *data) {
  struct server_plan *server = data;
  server->plan.struct_size = sizeof server->plan;
  if (udm_plan_image(server->options, server->arch, &server->plan) != UDM_OK) {
    server->plan.source = UDM_IMAGE_NONE;
  }
}

/* Adds a problem if a server would open the NVRTC that kills, or compile with it. */
static void warn_of_killer(struct findings *found, int32_t ordinal, int32_t arch) {
  const struct nvrtc_found *killer = nvrtc_list_killer(&found->nvrtcs);
  struct server_plan *server = killer ? calloc(1, sizeof *server) : NULL;
  char death[64];
  char text[UDM_PATH_SIZE + 256];
  if (!server) return;
  server->options = found->given_options;
  server->arch = arch;
  if (!child_process_run(plan_as_server, server, sizeof *server, death) ||
      server->plan.source == UDM_IMAGE_NVRTC || server->plan.source == UDM_IMAGE_NVRTC_PTX) {
    snprintf(text, sizeof text,
             "GPU %d (sm_%d): a server that starts here opens %s, which kills it: install its "
             "package again, remove the file, or name another NVRTC in UDM_NVRTC_LIBRARY",
             ordinal, arch, killer->library);
    doctor_problem(found, text);
  }
  free(server);
}

json_t *doctor_image(struct findings *found, int32_t ordinal, int32_t arch) {
  udm_image_plan plan = {.struct_size = sizeof plan};
  char advice[ADVICE_SIZE];
  char image_arch[16];
  warn_of_killer(found, ordinal, arch);
  if (udm_plan_image(&found->options, arch, &plan) != UDM_OK) {
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
