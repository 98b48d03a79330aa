/*
 * cache_file.h: reading and publishing one file of a cache folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CACHE_FILE_H
#define UDM_RUNTIME_CACHE_FILE_H

#include <stddef.h>

#include "cache_folder.h"

/*
 * Reads a whole file of the layer, whose folder is open, into memory that the
 * caller frees. Returns NULL, or why not. Symbolic links are not followed, FIFOs
 * and folders not opened, files of others not trusted.
 */
const char *udm_cache_file_read(const struct cache_layer *layer, int folder, const char *name,
                                unsigned char **bytes, size_t *size, char reason[UDM_REASON_SIZE]);

/*
 * Writes the file so that readers see the old one, the new one, or none, even
 * when the machine stops in between.
 */
udm_status udm_cache_file_publish(const struct cache_layer *layer, int folder, const char *name,
                                  const void *bytes, size_t size);

#endif
