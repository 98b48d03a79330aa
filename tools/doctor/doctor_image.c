/*
 * doctor_image.c: udm doctor for one GPU: which image udm loads, whether the driver takes it, why
 * there is no better one, what to do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/child_process.h"
#include "doctor.h"
#include "gpu/gpu_session.h"
#include "numbers/clock.h"

void doctor_problem(struct findings *found, const char *text) {
  json_array_append_new(found->problems, output_text(text));
}

/* Whether the driver takes the image that the plan names. */
struct loading {
  bool tried;
  bool loaded;
  double milliseconds;
  udm_context_info info; /* if it was loaded; its texts are gone */
  char detail[UDM_PATH_SIZE];
  char producer[512];
  char error[9216];
  char rejection[2048]; /* the log's lines: the first image that the driver rejected, */
  char lesser[2048];    /* why a lesser one serves, with what to do, */
  char not_cached[512]; /* and why what was built is not in the cache */
};

static void keep_line(void *user_data, udm_log_level level, const char *message) {
  static const char built[] = "was built but not cached: ";
  struct loading *loading = user_data;
  const char *not_cached = strstr(message, built);
  (void)level;
  if (!loading->rejection[0] && strstr(message, "the driver rejected the image")) {
    snprintf(loading->rejection, sizeof loading->rejection, "%s", message);
  } else if (strstr(message, "is served by a lesser image")) {
    snprintf(loading->lesser, sizeof loading->lesser, "%s", message);
  } else if (not_cached) {
    snprintf(loading->not_cached, sizeof loading->not_cached, "%s", not_cached + strlen(built));
  }
}

/* Starts as a server does: in the primary context of the device. */
static void load(const struct findings *found, int32_t ordinal, struct loading *loading) {
  struct gpu_session session;
  udm_options options = found->options;
  options.log = keep_line;
  options.log_user_data = loading;
  loading->tried = true;
  const double start = clock_microseconds();
  loading->loaded =
      gpu_session_open(&session, &options, ordinal, loading->error, sizeof loading->error);
  loading->milliseconds = 1e-3 * (clock_microseconds() - start);
  if (!loading->loaded) return;
  loading->info = session.info;
  snprintf(loading->detail, sizeof loading->detail, "%s", session.info.image_detail);
  snprintf(loading->producer, sizeof loading->producer, "%s", session.info.image_producer);
  gpu_session_close(&session);
}

/* A folder that udm does not use, or cannot write to, makes every start build its image again. */
static bool advise_on_cache(const struct findings *found, const struct loading *loading, char *text,
                            size_t size) {
  static const char again[] = "every start builds its image again, since";
  udm_cache_layer_info info = {.struct_size = sizeof info};
  if (udm_query_cache_layer(&found->options, 0, &info) == UDM_OK && !info.usable) {
    snprintf(text, size, "%s the cache folder %s is not used: %s", again,
             info.path[0] ? info.path : "(none)", info.reason);
    return true;
  }
  snprintf(text, size, "%s it is not cached: %s", again, loading->not_cached);
  return loading->not_cached[0] != '\0';
}

static bool is_built(udm_image_source source) {
  return source == UDM_IMAGE_NVRTC || source == UDM_IMAGE_NVRTC_PTX ||
         source == UDM_IMAGE_SHIPPED_PTX;
}

/*
 * A start opens the first NVRTC alone. If that one cannot make the best image and another here can,
 * nothing need be installed.
 */
static void advise_on_nvrtc(const struct findings *found, const udm_image_plan *plan, int32_t arch,
                            char *text, size_t size) {
  const struct nvrtc_found *able =
      nvrtc_list_newest(&found->nvrtcs, arch, found->driver_version / 1000);
  snprintf(text, size, "%s", plan->advice);
  if (!text[0] || found->mode != MODE_MAY_COMPILE) return;
  if (found->no_nvrtc_compiles) {
    snprintf(text, size,
             "install the package of the listed NVRTC again, or name one that compiles in "
             "UDM_NVRTC_LIBRARY");
  }
  if (!able || able == nvrtc_list_first(&found->nvrtcs)) return;
  snprintf(text, size,
           "run 'udm prewarm': it compiles with NVRTC %d.%d, %s; or name that one in "
           "UDM_NVRTC_LIBRARY",
           able->info.version_major, able->info.version_minor, able->info.path);
}

/* What improves the image that serves; "" if nothing does. */
static void advise(const struct findings *found, const udm_image_plan *plan, int32_t arch,
                   const struct loading *loading, char *text, size_t size) {
  advise_on_nvrtc(found, plan, arch, text, size);
  if (!is_built(plan->source)) return;
  char cache[UDM_PATH_SIZE + 512];
  const size_t used = strlen(text);
  if (advise_on_cache(found, loading, cache, sizeof cache)) {
    snprintf(text + used, size - used, "%s%s", used ? "; " : "", cache);
  } else if (plan->source == UDM_IMAGE_NVRTC && !loading->tried) {
    snprintf(text + used, size - used,
             "%sthe first start compiles it, in a few seconds; to do that now: udm prewarm",
             used ? "; " : "");
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

/* Splits a list of "- name: text" lines. The JSON has every one in full. */
static void add_lines(struct findings *found, const char *head, const char *lines, json_t *list) {
  const char *rest = lines;
  while (*rest) {
    const char *next = strstr(rest, "\n- ");
    const size_t length = next ? (size_t)(next - rest) : strlen(rest);
    if (length > 2) {
      char line[240];
      shorten(rest + 2, length - 2, line, sizeof line);
      table_add(&found->table, "\t%s %s", head, line);
      char *text = strndup(rest + 2, length - 2);
      json_array_append_new(list, text ? output_text(text) : json_null());
      free(text);
    }
    rest += next ? length + 1 : length;
  }
}

/* A plan without NVRTC, because none compiles, calls it forbidden. */
static void say_that_none_compiles(char *text) {
  static const char forbidden[] = "compiling is forbidden (UDM_OPTION_NO_COMPILE)";
  static const char instead[] = "none of the listed NVRTCs compiles";
  for (char *at = strstr(text, forbidden); at; at = strstr(at, forbidden)) {
    memcpy(at, instead, strlen(instead));
    at += strlen(instead);
    memmove(at, at + strlen(forbidden) - strlen(instead),
            strlen(at + strlen(forbidden) - strlen(instead)) + 1);
  }
}

static json_t *add_no_image(struct findings *found, int32_t ordinal, int32_t arch,
                            const char *reason) {
  char text[9400];
  snprintf(text, sizeof text, "GPU %d (sm_%d) cannot be served: %s", ordinal, arch, reason);
  say_that_none_compiles(text);
  doctor_problem(found, text);
  table_add(&found->table, "\tno image: see below");
  return json_null();
}

/* Says whether the driver has taken the image, and if not, what is not proven. */
static void add_loading(struct findings *found, const udm_image_plan *plan,
                        const struct loading *loading) {
  if (loading->tried) {
    table_add(&found->table, "\tloaded in %.0f ms", loading->milliseconds);
  } else if (plan->driver_version == 0) {
    table_add(&found->table, "\tnot loaded: nothing proves that the driver takes it");
  } else {
    table_add(&found->table,
              "\tnot loaded: by its version (CUDA %d.%d) the driver should take it; only loading "
              "proves it",
              plan->driver_version / 1000, plan->driver_version % 1000 / 10);
  }
}

/* Cuts the lines of "- name: text" up to that of the source that serves. */
static void leave_out_better(char *lines, const char *source) {
  for (char *line = lines; *line;) {
    char *next = strchr(line, '\n');
    const size_t length = strlen(source);
    const bool serves = strncmp(line + 2, source, length) == 0 && line[2 + length] == ':';
    if (serves) {
      memmove(lines, next ? next + 1 : "", next ? strlen(next) : 1);
      return;
    }
    line = next ? next + 1 : line + strlen(line);
  }
}

/* From the log of the loading: a rejection, or why a lesser image serves. */
static const char *why_not_as_planned(const struct loading *loading, char *text, size_t size) {
  const char *lesser = strstr(loading->lesser, ", and not by ");
  const char *reason = lesser ? strstr(lesser, ": ") : NULL;
  if (loading->rejection[0]) return loading->rejection;
  if (!reason) return "another process has changed the cache";
  snprintf(text, size, "%s", reason + 2);
  char *advice = strstr(text, ". To do: ");
  if (advice) *advice = '\0';
  return text;
}

/* What was loaded replaces what the plan names, if that was another image. */
static void correct_plan(const struct loading *loading, udm_image_plan *plan) {
  const udm_context_info *info = &loading->info;
  const size_t used = strlen(plan->skipped);
  char reason[2048];
  const bool same_kind = info->image_source == plan->source && info->image_arch == plan->image_arch;
  if (!same_kind && plan->source != UDM_IMAGE_NONE) {
    snprintf(plan->skipped + used, sizeof plan->skipped - used, "%s- %s, %.4000s: %s",
             used ? "\n" : "", udm_image_source_name(plan->source), plan->detail,
             why_not_as_planned(loading, reason, sizeof reason));
    const char *advice = strstr(loading->lesser, "To do: ");
    if (advice) snprintf(plan->advice, sizeof plan->advice, "%s", advice + strlen("To do: "));
    leave_out_better(plan->lesser, udm_image_source_name(info->image_source));
  }
  plan->source = info->image_source;
  plan->image_arch = info->image_arch;
  snprintf(plan->detail, sizeof plan->detail, "%s", loading->detail);
  snprintf(plan->producer, sizeof plan->producer, "%s", loading->producer);
}

/* What a child process works on. */
struct planning {
  const udm_options *options;
  int32_t arch;
  udm_image_plan plan; /* with the struct_size of what is asked; without a source if none serves */
  char error[9216];
};

static void make_plan(void *data) {
  struct planning *work = data;
  if (udm_plan_image(work->options, work->arch, &work->plan) == UDM_OK) return;
  work->plan.source = UDM_IMAGE_NONE;
  snprintf(work->error, sizeof work->error, "%s", udm_last_error());
}

/* Adds a problem if a server would open the NVRTC that kills, or compile with it. */
static void warn_of_killer(struct findings *found, int32_t ordinal, struct planning *work) {
  const struct nvrtc_found *killer = nvrtc_list_killer(&found->nvrtcs);
  char death[64];
  char text[UDM_PATH_SIZE + 256];
  if (!killer) return;
  work->options = found->given_options;
  /* up to here udm opens no NVRTC that udm_create() would not open */
  work->plan.struct_size = offsetof(udm_image_plan, driver_version);
  if (!child_process_run(make_plan, work, sizeof *work, death) ||
      work->plan.source == UDM_IMAGE_NVRTC || work->plan.source == UDM_IMAGE_NVRTC_PTX) {
    snprintf(text, sizeof text,
             "GPU %d (sm_%d): a server that starts here opens %s, which kills it: install its "
             "package again, remove the file, or name another NVRTC in UDM_NVRTC_LIBRARY",
             ordinal, work->arch, killer->library);
    doctor_problem(found, text);
  }
}

/*
 * In a child if it opens another NVRTC than the loading will: the loading, as a server, would take
 * one that is in the process already.
 */
static void plan_image(const struct findings *found, struct planning *work) {
  char death[64];
  work->options = &found->plan_options;
  work->plan.struct_size = sizeof work->plan;
  if (found->plan_options.nvrtc_library == found->options.nvrtc_library) {
    make_plan(work);
  } else if (!child_process_run(make_plan, work, sizeof *work, death)) {
    snprintf(work->error, sizeof work->error, "the plan of an image ended: %s", death);
  }
  say_that_none_compiles(work->plan.skipped);
}

/* Describes the image that serves, in the table and as JSON. */
static json_t *describe_image(struct findings *found, int32_t arch, const udm_image_plan *plan,
                              const struct loading *loading) {
  char advice[UDM_PATH_SIZE + 1400];
  char image_arch[16];
  json_t *skipped = json_array();
  json_t *lesser = json_array();
  const char *source = udm_image_source_name(plan->source);
  advise(found, plan, arch, loading, advice, sizeof advice);
  snprintf(image_arch, sizeof image_arch, "sm_%d", plan->image_arch);
  table_add(&found->table, "\timage: sm_%d from %s, %s", plan->image_arch, source, plan->detail);
  table_add(&found->table, "\tproducer: %s", plan->producer);
  add_loading(found, plan, loading);
  add_lines(found, "not from", plan->skipped, skipped);
  add_lines(found, "else from", plan->lesser, lesser);
  if (advice[0]) table_add(&found->table, "\tto do: %s", advice);
  return json_pack("{s:s, s:s, s:o, s:o, s:b, s:o, s:o, s:o}", "source", source, "arch", image_arch,
                   "detail", output_text(plan->detail), "producer", output_text(plan->producer),
                   "loaded", loading->loaded, "skipped", skipped, "lesser", lesser, "advice",
                   output_text(advice));
}

json_t *doctor_image(struct findings *found, int32_t ordinal, int32_t arch) {
  struct planning *work = calloc(1, sizeof *work);
  struct loading loading = {.tried = false};
  json_t *image = NULL;
  if (!work) return add_no_image(found, ordinal, arch, "out of memory");
  work->arch = arch;
  warn_of_killer(found, ordinal, work);
  plan_image(found, work);
  if (found->load) load(found, ordinal, &loading);
  if (found->load ? !loading.loaded : work->plan.source == UDM_IMAGE_NONE) {
    image = add_no_image(found, ordinal, arch, found->load ? loading.error : work->error);
  } else {
    if (found->load) correct_plan(&loading, &work->plan);
    image = describe_image(found, arch, &work->plan, &loading);
  }
  free(work);
  return image;
}
