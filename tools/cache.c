/*
 * udm cache: look at the cubin cache.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "command.h"
#include "output.h"
#include "table.h"
#include "udm.h"

static const char kHelp[] =
    "usage: udm cache path|list|verify [--cache-dir DIR] [--json]\n"
    "\n"
    "  path      print the folder of the writable cache\n"
    "  list      every entry of every layer: architecture, size, state, path\n"
    "  verify    read and check every entry; exit 1 when one is damaged\n"
    "\n"
    "An entry is ok, stale (whole, but made from another kernel source or other options: it\n"
    "is not used) or bad (damaged or foreign: it is not used, either).\n"
    "\n"
    "  --cache-dir DIR   the cache, instead of UDM_CACHE_DIR or ~/.cache/udm\n"
    "  --json            one JSON object\n"
    "\n"
    "examples\n"
    "  udm cache list\n"
    "  cuobjdump -sass \"$(udm cache path)\"/*.cubin\n"
    "  udm cache verify --json\n";

enum { kCacheDir = kOptionFirst, kJson };

static const struct option kOptions[] = {
    {"cache-dir", required_argument, NULL, kCacheDir},
    {"json", no_argument, NULL, kJson},
    {"help", no_argument, NULL, kOptionHelp},
    {NULL, 0, NULL, 0},
};

static int run_path(const udm_options *options, bool json) {
  udm_cache_layer_info info = {.struct_size = sizeof(info)};
  if (udm_query_cache_layer(options, 0, &info) != UDM_OK) {
    return output_fail(json, "%s", udm_last_error());
  }
  if (!info.path[0]) {
    return output_fail(json,
                       "there is no folder for the cache: %s; give --cache-dir or set "
                       "UDM_CACHE_DIR",
                       info.reason);
  }
  if (!info.usable) output_error("warning: %s cannot be used: %s", info.path, info.reason);
  if (json) {
    return output_json(json_pack("{s:o, s:b, s:s}", "dir", output_text(info.path), "usable",
                                 info.usable, "reason", info.reason),
                       kExitDone);
  }
  puts(info.path);
  return kExitDone;
}

typedef struct listing {
  text_table table;
  json_t *entries;
  int64_t counts[3]; /* by state */
  int64_t bytes;
} listing;

static int add_entry(void *user_data, const udm_cache_entry_info *entry) {
  listing *list = user_data;
  const char *state = udm_cache_entry_state_name(entry->state);
  char arch[16] = "";
  char bytes[32];
  if (entry->arch) snprintf(arch, sizeof(arch), "sm_%d", entry->arch);
  output_bytes(bytes, sizeof(bytes), entry->bytes);
  table_add(&list->table, "%s\t%s\t%s\t%s", arch[0] ? arch : "?", bytes, state, entry->path);
  json_t *object =
      json_pack("{s:o, s:I, s:o, s:s, s:i, s:o}", "arch", arch[0] ? json_string(arch) : json_null(),
                "bytes", (json_int_t)entry->bytes, "path", output_text(entry->path), "state", state,
                "layer", entry->layer, "reason", output_text(entry->reason));
  json_array_append_new(list->entries, object);
  if (entry->state >= UDM_CACHE_ENTRY_OK && entry->state <= UDM_CACHE_ENTRY_BAD) {
    ++list->counts[entry->state];
  }
  list->bytes += (int64_t)entry->bytes;
  if (entry->state == UDM_CACHE_ENTRY_BAD) output_error("%s: %s", entry->path, entry->reason);
  return 0;
}

static void print_list(listing *list, const char *dir) {
  const size_t count = json_array_size(list->entries);
  char bytes[32];
  output_bytes(bytes, sizeof(bytes), (uint64_t)list->bytes);
  if (count > 0) table_print(&list->table, stdout, 0, "lrll");
  printf("%zu %s, %s in %s\n", count, count == 1 ? "entry" : "entries", bytes, dir);
}

static int report_list(listing *list, const char *dir, bool json) {
  if (json) {
    return output_json(json_pack("{s:o, s:O}", "dir", output_text(dir), "entries", list->entries),
                       kExitDone);
  }
  print_list(list, dir);
  return kExitDone;
}

static int report_verify(const listing *list, const char *dir, bool json) {
  const int64_t ok = list->counts[UDM_CACHE_ENTRY_OK];
  const int64_t stale = list->counts[UDM_CACHE_ENTRY_STALE];
  const int64_t bad = list->counts[UDM_CACHE_ENTRY_BAD];
  const int code = bad == 0 ? kExitDone : kExitCouldNot;
  if (bad > 0) {
    output_error("remove the bad entries; 'udm prewarm' makes them anew. None is ever loaded");
  }
  if (json) {
    return output_json(json_pack("{s:I, s:I, s:I}", "ok", (json_int_t)ok, "bad", (json_int_t)bad,
                                 "stale", (json_int_t)stale),
                       code);
  }
  printf("%" PRId64 " ok, %" PRId64 " stale, %" PRId64 " bad in %s\n", ok, stale, bad, dir);
  return code;
}

static int run_list(const udm_options *options, bool json, bool verify) {
  udm_cache_layer_info info = {.struct_size = sizeof(info)};
  listing list = {.entries = json_array()};
  int code = kExitDone;
  table_add(&list.table, "ARCH\tBYTES\tSTATE\tPATH");
  if (udm_query_cache_layer(options, 0, &info) != UDM_OK ||
      udm_cache_enumerate(options, add_entry, &list) != UDM_OK) {
    code = output_fail(json, "%s", udm_last_error());
  } else {
    code = verify ? report_verify(&list, info.path, json) : report_list(&list, info.path, json);
  }
  json_decref(list.entries);
  table_free(&list.table);
  return code;
}

int cache_main(int argc, char **argv) {
  static const char *const kActions[] = {"path", "list", "verify", NULL};
  udm_options options = UDM_OPTIONS_INIT;
  bool json = false;
  int option;
  options.log = output_log;
  while ((option = arguments_next(argc, argv, kOptions)) != -1) {
    switch (option) {
      case kCacheDir:
        options.cache_dir = optarg;
        break;
      case kJson:
        json = true;
        break;
      case kOptionHelp:
        fputs(kHelp, stdout);
        return kExitDone;
      default:
        return kExitUsage;
    }
  }
  if (!arguments_positional(argc, argv, 1, "path, list or verify")) return kExitUsage;
  const int action = arguments_choice("cache", argv[optind], kActions);
  if (action < 0) return kExitUsage;
  return action == 0 ? run_path(&options, json) : run_list(&options, json, action == 2);
}
