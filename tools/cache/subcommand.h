/*
 * subcommand.h: the subcommands of udm cache: their options, and one function per
 * subcommand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_CACHE_SUBCOMMAND_H
#define UDM_TOOLS_CACHE_SUBCOMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "udm.h"

struct cache_command {
  udm_options options;
  udm_cache_prune_options rules; /* of prune and clear */
  int32_t keep_archs[UDM_MAX_ARCHS];
  const char *file; /* of export and import; "-": standard output, standard input */
  bool stale;       /* export the stale entries, too */
  bool json;
};

/* Each returns an exit code. */
int cache_path(const struct cache_command *command);
int cache_list(const struct cache_command *command);
int cache_verify(const struct cache_command *command);
int cache_prune(const struct cache_command *command);
int cache_clear(const struct cache_command *command);
int cache_export(const struct cache_command *command);
int cache_import(const struct cache_command *command);

#endif
