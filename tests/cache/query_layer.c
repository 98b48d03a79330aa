/*
 * query_layer.c: prints what libudm.so says of a cache layer: status, path, usable, reason.
 * Use: query_layer LAYER [CACHE_PATH]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "udm.h"

int main(int argc, char **argv) {
  udm_options options = UDM_OPTIONS_INIT;
  udm_cache_layer_info info = {.struct_size = sizeof info};
  if (argc < 2) return 2;
  if (argc > 2) options.cache_path = argv[2];
  const udm_status status = udm_query_cache_layer(&options, atoi(argv[1]), &info);
  printf("%s\n%s\n%d\n%s\n", udm_status_name(status), info.path, (int)info.usable, info.reason);
  return 0;
}
