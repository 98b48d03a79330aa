/*
 * udm cache path: where the writable cache is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "action.h"
#include "command.h"
#include "output.h"

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
