/*
 * prune.c: udm cache prune and clear: what goes from the writable cache, and why. A dry
 * run says the very same as the real one, so the words fit both.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "cache_dirs.h"
#include "command/command.h"
#include "command/output.h"
#include "command/text_table.h"
#include "subcommand.h"

struct removals {
  struct text_table table;
  json_t *remove;
  json_t *in_use;
};

static int add_removal(void *user_data, const udm_cache_removal *removal) {
  struct removals *found = user_data;
  char arch[ARCH_TEXT_SIZE];
  char bytes[32];
  cache_arch_text(arch, removal->arch);
  output_bytes(bytes, sizeof bytes, removal->bytes);
  table_add(&found->table, "%s\t%s\t%s\t%s\t%s", arch, bytes,
            removal->in_use ? "keep, in use" : "remove", removal->reason, removal->path);
  json_array_append_new(
      removal->in_use ? found->in_use : found->remove,
      json_pack("{s:o, s:I, s:o, s:s}", "arch", removal->arch ? json_string(arch) : json_null(),
                "bytes", (json_int_t)removal->bytes, "path", output_text(removal->path), "reason",
                removal->reason));
  return 0;
}

/* error: why something could not be removed; NULL: all could. */
static int report(const struct removals *found, const udm_cache_prune_result *sums, const char *dir,
                  const char *error, bool json) {
  const int code = error ? EXIT_COULD_NOT : EXIT_DONE;
  char removed[32];
  char kept[32];
  if (error) output_error("%s", error);
  if (json) {
    json_t *object = json_pack("{s:o, s:O, s:O, s:I, s:i, s:I}", "dir", output_text(dir), "remove",
                               found->remove, "in_use", found->in_use, "remove_bytes",
                               (json_int_t)sums->removed_bytes, "keep", sums->kept, "keep_bytes",
                               (json_int_t)sums->kept_bytes);
    if (error) json_object_set_new(object, "error", output_text(error));
    return output_json(object, code);
  }
  output_bytes(removed, sizeof removed, sums->removed_bytes);
  output_bytes(kept, sizeof kept, sums->kept_bytes);
  if (found->table.row_count > 1) table_print(&found->table, stdout, 0, "lrlll");
  printf("remove %d %s, %s; keep %d %s, %s in %s\n", sums->removed,
         sums->removed == 1 ? "file" : "files", removed, sums->kept,
         sums->kept == 1 ? "entry" : "entries", kept, dir);
  return code;
}

static int prune(const struct cache_command *command, const udm_cache_prune_options *rules) {
  struct cache_dirs dirs;
  udm_cache_prune_result sums = {.struct_size = sizeof sums};
  struct removals found = {.remove = json_array(), .in_use = json_array()};
  const char *error = NULL;
  int code = EXIT_COULD_NOT;
  table_add(&found.table, "ARCH\tBYTES\tACTION\tREASON\tPATH");
  if (!cache_dirs_find(&command->options, &dirs)) {
    code = output_fail(command->json, "%s", udm_last_error());
  } else {
    if (udm_cache_prune(&command->options, rules, add_removal, &found, &sums) != UDM_OK) {
      error = udm_last_error();
    }
    if (error && found.table.row_count == 1) { /* nothing was done: no sums to tell */
      code = output_fail(command->json, "%s", error);
    } else {
      code = report(&found, &sums, dirs.dir, error, command->json);
    }
  }
  json_decref(found.remove);
  json_decref(found.in_use);
  table_free(&found.table);
  return code;
}

int cache_prune(const struct cache_command *command) { return prune(command, &command->rules); }

int cache_clear(const struct cache_command *command) {
  udm_cache_prune_options rules = command->rules;
  rules.flags |= UDM_CACHE_PRUNE_ALL;
  return prune(command, &rules);
}
