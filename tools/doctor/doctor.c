/*
 * doctor.c: udm doctor: what udm can use on this machine, and what is missing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/arguments.h"
#include "command/command.h"
#include "doctor.h"

static const char help_text[] =
    "usage: udm doctor [OPTION...]\n"
    "\n"
    "Shows the driver, the GPUs, every NVRTC and the cache layers. For every GPU it loads the\n"
    "image that a server will load (from the cache, compiled by NVRTC, or assembled by the\n"
    "driver from NVRTC's PTX or from the PTX that udm ships), and shows who made it, why no\n"
    "better one is available, which ones would serve else, and what to do. It starts as a\n"
    "server does: what it compiles is kept in the cache. Run it with the server's environment.\n"
    "Tries every NVRTC in a child process, since a damaged one can kill who opens it.\n"
    "Exit code 0 if a server will start on every GPU; 1 if not, or if there is no GPU.\n"
    "\n"
    "  --no-load         load and compile nothing: udm compares who made an image with the\n"
    "                    driver's version, and changes nothing\n"
    "  --metrics         print only the counters and images of this process, as text in\n"
    "                    Prometheus' format\n"
    "  --cache-dir DIR   the cache, instead of UDM_CACHE_DIR or ~/.cache/udm\n"
    "  --json            print one JSON object\n"
    "\n"
    "examples\n"
    "  udm doctor\n"
    "  UDM_NO_COMPILE=1 udm doctor         can a server start here if it may not compile?\n"
    "  UDM_NO_COMPILE=strict udm doctor    is everything in the cache?\n"
    "  udm doctor --json | jq .devices\n";

enum form { FORM_TABLE, FORM_JSON, FORM_METRICS, FORM_BOTH };

enum { NO_LOAD = OPTION_FIRST, METRICS, CACHE_DIR, JSON };

static const struct option long_options[] = {
    {"no-load", no_argument, NULL, NO_LOAD},           {"metrics", no_argument, NULL, METRICS},
    {"cache-dir", required_argument, NULL, CACHE_DIR}, {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, OPTION_HELP},          {NULL, 0, NULL, 0},
};

static void write_cuda_version(char *text, size_t size, int32_t version) {
  snprintf(text, size, "%d.%d", version / 1000, version % 1000 / 10);
}

/* Returns the number of devices. */
static int32_t examine_driver(struct findings *found) {
  udm_driver_info info = {.struct_size = sizeof info};
  char version[32];
  if (udm_query_driver(&found->options, &info) != UDM_OK) {
    table_add(&found->table, "driver\tnone");
    json_object_set_new(found->json, "driver", json_null());
    doctor_problem(found, udm_last_error());
    return 0;
  }
  write_cuda_version(version, sizeof version, info.version);
  found->driver_version = info.version;
  table_add(&found->table, "driver\tCUDA %s, %s", version, info.path);
  json_object_set_new(found->json, "driver",
                      json_pack("{s:o, s:s, s:i}", "path", output_text(info.path), "version",
                                version, "devices", info.device_count));
  if (info.device_count == 0) {
    table_add(&found->table, "GPU\tnone");
    doctor_problem(
        found,
        "the driver finds no GPU: check nvidia-smi and CUDA_VISIBLE_DEVICES, or run on a "
        "machine that has one");
  }
  return info.device_count;
}

static void examine_device(struct findings *found, int32_t ordinal, json_t *list) {
  udm_device_info info = {.struct_size = sizeof info};
  char memory[32];
  char arch[16];
  if (udm_query_device(&found->options, ordinal, &info) != UDM_OK) {
    table_add(&found->table, "GPU %d\tcannot be queried", ordinal);
    doctor_problem(found, udm_last_error());
    return;
  }
  output_bytes(memory, sizeof memory, info.memory_bytes);
  snprintf(arch, sizeof arch, "sm_%d", info.arch);
  table_add(&found->table, "GPU %d\t%s, %s, %d multiprocessors, %s", ordinal, info.name, arch,
            info.multiprocessor_count, memory);
  json_t *image = doctor_image(found, ordinal, info.arch);
  json_array_append_new(
      list,
      json_pack("{s:i, s:o, s:s, s:i, s:I, s:o}", "ordinal", ordinal, "name",
                output_text(info.name), "arch", arch, "multiprocessors", info.multiprocessor_count,
                "memory_bytes", (json_int_t)info.memory_bytes, "image", image));
}

/* Where udm looked, in the library's words; these must not open an NVRTC that kills. */
static const char *why_no_nvrtc(const struct findings *found) {
  udm_nvrtc_info info = {.struct_size = sizeof info};
  if (!nvrtc_list_killer(&found->nvrtcs) && udm_query_nvrtc(&found->options, &info) != UDM_OK) {
    return udm_last_error();
  }
  return "No NVRTC of this machine can be used.";
}

static void examine_first_nvrtc(struct findings *found) {
  const struct nvrtc_found *first = nvrtc_list_first(&found->nvrtcs);
  if (!first) {
    table_add(&found->table, "NVRTC\tnone");
    json_object_set_new(found->json, "nvrtc", json_null());
    json_object_set_new(found->json, "nvrtc_error", output_text(why_no_nvrtc(found)));
    return;
  }
  const udm_nvrtc_info *info = &first->info;
  char archs[512] = "";
  char version[32];
  json_t *list = json_array();
  for (int32_t i = 0; i < info->arch_count; ++i) {
    const size_t used = strlen(archs);
    snprintf(archs + used, sizeof archs - used, " sm_%d", info->archs[i]);
    json_array_append_new(list, json_sprintf("sm_%d", info->archs[i]));
  }
  nvrtc_version_text(first, version);
  table_add(&found->table, "NVRTC\t%s, %s", version, info->path);
  table_add(&found->table, "\tcompiles for%s", archs);
  json_object_set_new(found->json, "nvrtc",
                      json_pack("{s:s, s:o, s:o}", "version", version, "path",
                                output_text(info->path), "archs", list));
}

/* Lists the first NVRTC, with which udm compiles, the others, and those that udm cannot use. */
static void examine_nvrtcs(struct findings *found) {
  const struct nvrtc_found *first = nvrtc_list_first(&found->nvrtcs);
  json_t *list = json_array();
  examine_first_nvrtc(found);
  for (int32_t i = 0; i < found->nvrtcs.count; ++i) {
    const struct nvrtc_found *item = &found->nvrtcs.items[i];
    char version[32] = "";
    if (!nvrtc_is_usable(item)) {
      table_add(&found->table, "\t%s cannot be used: %s", item->library, item->reason);
    } else {
      nvrtc_version_text(item, version);
      if (item != first) {
        table_add(&found->table, "\t%s, %s: found later, only for udm prewarm", version,
                  item->info.path);
      }
    }
    json_array_append_new(
        list,
        json_pack("{s:o, s:s, s:b, s:o}", "library", output_text(item->library), "version", version,
                  "usable", nvrtc_is_usable(item), "reason", output_text(item->reason)));
  }
  json_object_set_new(found->json, "nvrtc_candidates", list);
}

static void examine_cache(struct findings *found) {
  udm_cache_layer_info info = {.struct_size = sizeof info};
  json_t *list = json_array();
  for (int32_t layer = 0; udm_query_cache_layer(&found->options, layer, &info) == UDM_OK; ++layer) {
    const char *path = info.path[0] ? info.path : "no folder";
    const char *kind = info.writable ? "writable" : "read-only";
    if (info.usable) {
      table_add(&found->table, "%s\t%s, %s", layer ? "" : "cache", path, kind);
    } else {
      table_add(&found->table, "%s\t%s, not used: %s", layer ? "" : "cache", path, info.reason);
    }
    json_array_append_new(
        list, json_pack("{s:o, s:b, s:b, s:s}", "path", output_text(info.path), "writable",
                        info.writable, "usable", info.usable, "reason", info.reason));
  }
  json_object_set_new(found->json, "cache", list);
}

struct cache_use {
  json_int_t entries;
  json_int_t bad;
  json_int_t bytes;
};

static int add_use(void *user_data, const udm_cache_entry_info *entry) {
  struct cache_use *use = user_data;
  if (entry->layer > 0) return 1; /* the writable layer comes first, and only it has a limit */
  ++use->entries;
  use->bad += entry->state == UDM_CACHE_ENTRY_BAD;
  use->bytes += (json_int_t)entry->bytes;
  return 0;
}

static void add_counter(json_t *object, char *text, size_t size, const char *name, uint64_t count) {
  const size_t used = strlen(text);
  json_object_set_new(object, name, json_integer((json_int_t)count));
  if (count == 0) return;
  snprintf(text + used, size - used, "%s%s %" PRIu64, used ? ", " : "", name, count);
}

/* Reports how full the writable cache is, and this process's cache counters. */
static void examine_cache_use(struct findings *found) {
  udm_cache_layer_info info = {.struct_size = sizeof info};
  udm_cache_counters counters = {.struct_size = sizeof counters};
  struct cache_use use = {0};
  char bytes[32];
  char most[32];
  if (udm_query_cache_layer(&found->options, 0, &info) != UDM_OK) return;
  udm_cache_enumerate(&found->options, add_use,
                      &use); /* examine_cache() reports layers that cannot be read */
  output_bytes(bytes, sizeof bytes, (uint64_t)use.bytes);
  output_bytes(most, sizeof most, info.max_bytes);
  table_add(&found->table, "\t%s of %s used, entries: %d, bad: %d", bytes, most, (int)use.entries,
            (int)use.bad);
  json_object_set_new(
      found->json, "cache_use",
      json_pack("{s:I, s:I, s:I, s:I}", "bytes", use.bytes, "max_bytes", (json_int_t)info.max_bytes,
                "entries", use.entries, "bad", use.bad));

  char text[1024] = "";
  json_t *object = json_object();
  udm_get_cache_counters(&counters);
#define ADD_COUNTER(name, meaning) add_counter(object, text, sizeof text, #name, counters.name);
  UDM_CACHE_COUNTER_TABLE(ADD_COUNTER)
#undef ADD_COUNTER
  table_add(&found->table, "\tcounters: %s", text[0] ? text : "all 0");
  json_object_set_new(found->json, "cache_counters", object);
}

/* The rule of UDM_NO_COMPILE in udm.h. */
static enum mode mode_of_environment(void) {
  const char *value = getenv("UDM_NO_COMPILE");
  if (!value || !value[0] || strcmp(value, "0") == 0) return MODE_MAY_COMPILE;
  return strcmp(value, "1") == 0 ? MODE_NO_COMPILE : MODE_CACHED_ONLY;
}

static void examine_mode(struct findings *found) {
  static const char *const texts[] = {"may compile", "no compiling (UDM_NO_COMPILE)",
                                      "cached images only (UDM_NO_COMPILE)"};
  found->mode = mode_of_environment();
  table_add(&found->table, "mode\t%s", texts[found->mode]);
  json_object_set_new(found->json, "mode", json_string(texts[found->mode]));
}

static bool print_metrics(void) {
  size_t length = 0;
  udm_get_metrics(NULL, 0, &length);
  char *text = malloc(length + 1);
  const bool printed = text && udm_get_metrics(text, length + 1, &length) == UDM_OK;
  if (printed) fputs(text, stdout);
  free(text);
  return printed;
}

static int report(struct findings *found, enum form form) {
  const bool json = form == FORM_JSON;
  const size_t problems = json_array_size(found->problems);
  const int code = problems == 0 ? EXIT_DONE : EXIT_COULD_NOT;
  const bool can_prewarm =
      found->mode == MODE_MAY_COMPILE && json_is_object(json_object_get(found->json, "nvrtc"));
  json_object_set_new(found->json, "ok", json_boolean(problems == 0));
  json_object_set(found->json, "problems", found->problems);
  if (form == FORM_METRICS && !print_metrics()) doctor_problem(found, "out of memory");
  if (form == FORM_TABLE) {
    table_print(&found->table, stdout, 0, "");
    const char *nvrtc_error = json_string_value(json_object_get(found->json, "nvrtc_error"));
    if (nvrtc_error) printf("%s\n", nvrtc_error);
    if (problems == 0) {
      printf("%sEvery GPU of this machine %s.%s\n", output_escape(stdout, STYLE_GOOD),
             found->load ? "is served" : "should be served: nothing was loaded",
             output_escape(stdout, STYLE_PLAIN));
    } else if (json_array_size(json_object_get(found->json, "devices")) == 0 && can_prewarm) {
      printf(
          "No GPU can be served here, but 'udm prewarm' can fill the cache for other machines.\n");
    }
    fflush(stdout);
  }
  for (size_t i = 0; i < problems; ++i) {
    output_error("%s", json_string_value(json_array_get(found->problems, i)));
  }
  return json ? output_json(json_incref(found->json), code) : code;
}

/*
 * A server passes over an NVRTC that cannot compile, or dies of it. A plan notices neither, so it
 * gets the first that compiles, or none; loading passes over it as a server does, but must not die.
 */
static void choose_nvrtc(struct findings *found) {
  const struct nvrtc_list *nvrtcs = &found->nvrtcs;
  const struct nvrtc_found *first = nvrtc_list_first(nvrtcs);
  bool some_open = false;
  for (int32_t i = 0; i < nvrtcs->count; ++i) some_open = some_open || nvrtcs->items[i].opens;
  found->no_nvrtc_compiles = !first && some_open && found->mode == MODE_MAY_COMPILE;
  found->plan_options = found->options;
  if (first && first != nvrtcs->items) found->plan_options.nvrtc_library = first->library;
  if (found->no_nvrtc_compiles) found->plan_options.flags |= UDM_OPTION_NO_COMPILE;
  if (nvrtc_list_killer(nvrtcs)) found->options = found->plan_options;
}

static int run(const udm_options *options, bool load, enum form form) {
  struct findings found = {.options = *options,
                           .given_options = options,
                           .load = load,
                           .table = TABLE_INIT,
                           .json = json_object(),
                           .problems = json_array()};
  json_t *devices = json_array();
  json_object_set_new(found.json, "version", json_string(udm_version_string()));
  table_add(&found.table, "udm\t%s", udm_version_string());
  examine_mode(&found);
  if (nvrtc_list_make(options, &found.nvrtcs) != UDM_OK) doctor_problem(&found, udm_last_error());
  choose_nvrtc(&found);
  const int32_t count = examine_driver(&found);
  json_object_set(found.json, "devices", devices);
  for (int32_t i = 0; i < count; ++i) examine_device(&found, i, devices);
  if (count == 0) doctor_sources(&found);
  examine_nvrtcs(&found);
  examine_cache(&found);
  examine_cache_use(&found);
  const int code = report(&found, form);
  json_decref(devices);
  json_decref(found.json);
  json_decref(found.problems);
  table_free(&found.table);
  nvrtc_list_free(&found.nvrtcs);
  return code;
}

int doctor_main(int argc, char **argv) {
  udm_options options = UDM_OPTIONS_INIT;
  enum form form = FORM_TABLE;
  bool do_load = true;
  int option;
  options.log = output_log;
  while ((option = arguments_next(argc, argv, long_options)) != -1) {
    switch (option) {
      case NO_LOAD:
        do_load = false;
        break;
      case METRICS:
        form = form == FORM_JSON ? FORM_BOTH : FORM_METRICS;
        break;
      case CACHE_DIR:
        options.cache_dir = optarg;
        break;
      case JSON:
        form = form == FORM_METRICS ? FORM_BOTH : FORM_JSON;
        break;
      case OPTION_HELP:
        fputs(help_text, stdout);
        return EXIT_DONE;
      default:
        return EXIT_USAGE;
    }
  }
  if (!arguments_positional(argc, argv, 0, "")) return EXIT_USAGE;
  if (form == FORM_BOTH) {
    output_error("doctor: --json and --metrics cannot be combined");
    return EXIT_USAGE;
  }
  return run(&options, do_load, form);
}
