/*
 * cache_entry.h: the format of a cache entry. It knows bytes, not files.
 *
 *     image      the cubin: the file opens as one
 *     material   what the image is a function of, as text (the key)
 *     producer   who made it, as text
 *     footer     sizes, format version, checksum of all before it
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CACHE_CACHE_ENTRY_H
#define UDM_RUNTIME_CACHE_CACHE_ENTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "udm.h"

#define UDM_CACHE_FORMAT 1u

/* Material and producer are shorter than this, with their 0. */
#define UDM_CACHE_TEXT_SIZE 512

/*
 * label     what a person looks for in the file's name: "sm_90"
 * material  everything that the image depends on, but for its producer
 * producer  the compiler, version and build; NULL: any
 */
struct cache_key {
  const char *label;
  const char *material;
  const char *producer;
};

/* Pointers into the bytes of the entry; the texts are not 0-terminated. */
struct cache_entry_view {
  const unsigned char *image;
  size_t image_size;
  const char *material;
  size_t material_size;
  const char *producer;
  size_t producer_size;
};

/* The whole entry in memory that the caller frees. */
udm_status udm_cache_entry_encode(const struct cache_key *key, const void *image, size_t image_size,
                                  unsigned char **bytes, size_t *size);

/*
 * Checks every byte. Returns NULL and fills the view, or says what is wrong
 * (static text).
 */
const char *udm_cache_entry_decode(const unsigned char *bytes, size_t size,
                                   struct cache_entry_view *view);

/* Whether the entry is of this key: material, and producer unless the key's is NULL. */
int udm_cache_entry_matches(const struct cache_entry_view *view, const struct cache_key *key);

/* "sm_90-<hash of material>-": what the names of all entries of a material begin with. */
#define UDM_CACHE_NAME_SIZE 160
void udm_cache_entry_prefix(const struct cache_key *key, char name[UDM_CACHE_NAME_SIZE]);

/* The file's name: prefix, hash of the producer, ".cubin". The key must have a producer. */
void udm_cache_entry_name(const struct cache_key *key, char name[UDM_CACHE_NAME_SIZE]);

#endif
