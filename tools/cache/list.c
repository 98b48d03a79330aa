/*
 * list.c: udm cache path and udm cache list: the folder, and the entries of every
 * layer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <time.h>

#include "cache_dirs.h"
#include "command/command.h"
#include "command/output.h"
#include "command/text_table.h"
#include "subcommand.h"

int cache_path(const struct cache_command *command) {
  udm_cache_layer_info info = {.struct_size = sizeof info};
  if (udm_query_cache_layer(&command->options, 0, &info) != UDM_OK) {
    return output_fail(command->json, "%s", udm_last_error());
  }
  if (!info.path[0]) {
    return output_fail(command->json,
                       "there is no folder for the cache: %s; give --cache-dir or set "
                       "UDM_CACHE_DIR",
                       info.reason);
  }
  if (!info.usable) output_error("warning: %s cannot be used: %s", info.path, info.reason);
  if (command->json) {
    return output_json(json_pack("{s:o, s:b, s:s}", "dir", output_text(info.path), "usable",
                                 info.usable, "reason", info.reason),
                       EXIT_DONE);
  }
  puts(info.path);
  return EXIT_DONE;
}

struct listing {
  struct text_table table;
  json_t *entries;
  uint64_t bytes;
};

enum { TIME_TEXT_SIZE = 32 };

/* "2026-11-25 08:22Z"; "?" when it is not known. */
static const char *time_text(char text[TIME_TEXT_SIZE], int64_t seconds) {
  const time_t time = (time_t)seconds;
  struct tm parts;
  if (seconds == 0 || !gmtime_r(&time, &parts) ||
      strftime(text, TIME_TEXT_SIZE, "%Y-%m-%d %H:%MZ", &parts) == 0) {
    snprintf(text, TIME_TEXT_SIZE, "?");
  }
  return text;
}

static json_t *entry_json(const udm_cache_entry_info *entry, const char *state, const char *arch) {
  return json_pack("{s:o, s:I, s:o, s:s, s:i, s:o, s:o, s:o}", "arch",
                   entry->arch ? json_string(arch) : json_null(), "bytes", (json_int_t)entry->bytes,
                   "path", output_text(entry->path), "state", state, "layer", entry->layer,
                   "reason", output_text(entry->reason), "producer", output_text(entry->producer),
                   "last_used",
                   entry->last_used ? json_integer((json_int_t)entry->last_used) : json_null());
}

static int add_entry(void *user_data, const udm_cache_entry_info *entry) {
  struct listing *list = user_data;
  const char *state = udm_cache_entry_state_name(entry->state);
  char arch[ARCH_TEXT_SIZE];
  char used[TIME_TEXT_SIZE];
  char bytes[32];
  cache_arch_text(arch, entry->arch);
  output_bytes(bytes, sizeof bytes, entry->bytes);
  table_add(&list->table, "%s\t%s\t%s\t%s\t%s\t%s", arch, bytes, state,
            entry->producer[0] ? entry->producer : "?", time_text(used, entry->last_used),
            entry->path);
  json_array_append_new(list->entries, entry_json(entry, state, arch));
  list->bytes += entry->bytes;
  if (entry->state == UDM_CACHE_ENTRY_BAD) output_error("%s: %s", entry->path, entry->reason);
  return 0;
}

/* error: of a layer that cannot be used; NULL: none. The others' entries are shown all the same. */
static int report(struct listing *list, const struct cache_dirs *dirs, const char *error,
                  bool json) {
  const int code = error ? EXIT_COULD_NOT : EXIT_DONE;
  if (json) {
    json_t *object =
        json_pack("{s:o, s:O}", "dir", output_text(dirs->dir), "entries", list->entries);
    if (error) json_object_set_new(object, "error", output_text(error));
    return output_json(object, code);
  }
  const size_t count = json_array_size(list->entries);
  char bytes[32];
  output_bytes(bytes, sizeof bytes, list->bytes);
  if (count > 0) table_print(&list->table, stdout, 0, "lrllll");
  printf("%zu %s, %s in %s\n", count, count == 1 ? "entry" : "entries", bytes, dirs->text);
  return code;
}

int cache_list(const struct cache_command *command) {
  struct cache_dirs dirs;
  struct listing list = {.entries = json_array()};
  const char *error = NULL;
  if (!cache_dirs_find(&command->options, &dirs)) {
    json_decref(list.entries);
    return output_fail(command->json, "%s", udm_last_error());
  }
  table_add(&list.table, "ARCH\tBYTES\tSTATE\tPRODUCER\tLAST USED\tPATH");
  if (udm_cache_enumerate(&command->options, add_entry, &list) != UDM_OK) {
    error = udm_last_error();
    output_error("%s", error);
  }
  const int code = report(&list, &dirs, error, command->json);
  json_decref(list.entries);
  table_free(&list.table);
  return code;
}
