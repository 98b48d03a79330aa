/*
 * cache_folder.h: where the layers of the cache lie, and whether they can be
 * trusted. Layer 0 is the writable one, 1 and up are the read-only ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CACHE_CACHE_FOLDER_H
#define UDM_RUNTIME_CACHE_CACHE_FOLDER_H

#include "core/options.h"

#define UDM_REASON_SIZE 256

struct cache_layer {
  bool writable;
  char path[UDM_PATH_SIZE];
};

/*
 * Describes layer `index`; false past the last one. The path is "" when none is
 * known, and UDM_PATH_TOO_LONG when it is one that no system call would take.
 */
#define UDM_PATH_TOO_LONG "(a path that is too long)"
bool udm_cache_layer_at(const struct settings *settings, int index, struct cache_layer *layer);

/*
 * Opens the layer's folder, and makes it first when `create` is set and it is
 * the writable one. Returns its descriptor, or -1 and why it is not used:
 * *missing says that it is just not there.
 */
int udm_cache_folder_open(const struct cache_layer *layer, bool create,
                          char reason[UDM_REASON_SIZE], bool *missing);

/*
 * Why a folder or a file of the layer is not trusted, by its owner and mode;
 * NULL when it is. A read-only layer may belong to root.
 */
struct stat;
const char *udm_cache_distrust(const struct cache_layer *layer, const struct stat *status);

#endif
