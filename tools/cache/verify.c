/*
 * verify.c: udm cache verify: every entry of every layer, read and checked.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>

#include "cache_dirs.h"
#include "command/command.h"
#include "command/output.h"
#include "command/progress.h"
#include "subcommand.h"

struct verification {
  json_t *damaged;
  json_int_t ok;
  json_int_t stale;
  json_int_t bad;
  struct progress_bar bar;
};

static void add_damage(struct verification *found, const udm_cache_entry_info *entry) {
  char arch[ARCH_TEXT_SIZE];
  progress_finish(&found->bar);
  output_error("%s: %s", entry->path, entry->reason);
  json_array_append_new(
      found->damaged,
      json_pack("{s:o, s:o, s:o}", "arch",
                entry->arch ? json_string(cache_arch_text(arch, entry->arch)) : json_null(), "path",
                output_text(entry->path), "reason", output_text(entry->reason)));
}

static int check_entry(void *user_data, const udm_cache_entry_info *entry) {
  struct verification *found = user_data;
  switch (entry->state) {
    case UDM_CACHE_ENTRY_OK:
      ++found->ok;
      break;
    case UDM_CACHE_ENTRY_STALE:
      ++found->stale;
      break;
    case UDM_CACHE_ENTRY_BAD:
      ++found->bad;
      add_damage(found, entry);
      break;
  }
  progress_update(&found->bar, found->ok + found->stale + found->bad);
  return 0;
}

static int report(const struct verification *found, const struct cache_dirs *dirs,
                  const char *error, bool json) {
  const int code = found->bad == 0 && !error ? EXIT_DONE : EXIT_COULD_NOT;
  if (found->bad > 0) {
    output_error(
        "none of these is ever loaded; 'udm cache prune' removes them, 'udm prewarm' makes them "
        "anew");
  }
  if (json) {
    json_t *object = json_pack("{s:I, s:I, s:I, s:O}", "ok", found->ok, "bad", found->bad, "stale",
                               found->stale, "damaged", found->damaged);
    if (error) json_object_set_new(object, "error", output_text(error));
    return output_json(object, code);
  }
  printf("%" JSON_INTEGER_FORMAT " ok, %" JSON_INTEGER_FORMAT " stale, %" JSON_INTEGER_FORMAT
         " bad in %s\n",
         found->ok, found->stale, found->bad, dirs->text);
  return code;
}

int cache_verify(const struct cache_command *command) {
  struct cache_dirs dirs;
  struct verification found = {.damaged = json_array()};
  const char *error = NULL;
  if (!cache_dirs_find(&command->options, &dirs)) {
    json_decref(found.damaged);
    return output_fail(command->json, "%s", udm_last_error());
  }
  progress_start(&found.bar, "verify", 0);
  const udm_status status = udm_cache_enumerate(&command->options, check_entry, &found);
  progress_finish(&found.bar);
  if (status != UDM_OK) {
    error = udm_last_error();
    output_error("%s", error);
  }
  const int code = report(&found, &dirs, error, command->json);
  json_decref(found.damaged);
  return code;
}
