/*
 * cache_entry.c: encodes, checks and names cache entries.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cache/cache.h"
#include "core/allocator.h"

/* Little-endian, whatever the machine. */
enum {
  FOOTER_IMAGE_SIZE = 0,
  FOOTER_KEY_TEXT_SIZE = 8,
  FOOTER_PRODUCER_SIZE = 16,
  FOOTER_FORMAT = 24,
  FOOTER_CHECKSUM = 28, /* XXH3-128, canonical form, of everything before it */
  FOOTER_MAGIC = 44,
  FOOTER_SIZE = 52
};

static const char magic[] = "udmcubin";
enum { MAGIC_SIZE = sizeof magic - 1 };

static void put_little_endian(unsigned char *bytes, uint64_t value, int width) {
  for (int i = 0; i < width; ++i) bytes[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get_little_endian(const unsigned char *bytes, int width) {
  uint64_t value = 0;
  for (int i = width; i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

static void compute_checksum(const void *bytes, size_t size, XXH128_canonical_t *checksum) {
  XXH128_canonicalFromHash(checksum, XXH3_128bits(bytes, size));
}

udm_status udm_cache_entry_encode(const struct cache_key *key, const void *image, size_t image_size,
                                  unsigned char **bytes, size_t *size, struct error *error) {
  const size_t text_size = strlen(key->text);
  const size_t producer_size = strlen(key->producer);
  *size = image_size + text_size + producer_size + FOOTER_SIZE;
  unsigned char *out = udm_malloc(*size);
  if (!out) return udm_fail_memory(error, "a cache entry", *size);

  memcpy(out, image, image_size);
  memcpy(out + image_size, key->text, text_size);
  memcpy(out + image_size + text_size, key->producer, producer_size);
  unsigned char *footer = out + *size - FOOTER_SIZE;
  put_little_endian(footer + FOOTER_IMAGE_SIZE, image_size, 8);
  put_little_endian(footer + FOOTER_KEY_TEXT_SIZE, text_size, 8);
  put_little_endian(footer + FOOTER_PRODUCER_SIZE, producer_size, 8);
  put_little_endian(footer + FOOTER_FORMAT, UDM_CACHE_FORMAT, 4);
  XXH128_canonical_t checksum;
  compute_checksum(out, (size_t)(footer - out) + FOOTER_CHECKSUM, &checksum);
  memcpy(footer + FOOTER_CHECKSUM, &checksum, sizeof checksum);
  memcpy(footer + FOOTER_MAGIC, magic, MAGIC_SIZE);
  *bytes = out;
  return UDM_OK;
}

udm_status udm_cache_entry_decode(const unsigned char *bytes, size_t size,
                                  struct cache_entry_view *view, struct error *error) {
  if (size == 0) return udm_fail(error, UDM_ERROR_CACHE, "empty file");
  if (size < FOOTER_SIZE) return udm_fail(error, UDM_ERROR_CACHE, "shorter than an entry's footer");
  const unsigned char *footer = bytes + size - FOOTER_SIZE;
  if (memcmp(footer + FOOTER_MAGIC, magic, MAGIC_SIZE) != 0) {
    return udm_fail(error, UDM_ERROR_CACHE,
                    "no udm footer at its end: truncated, appended to, or not an entry");
  }
  if (get_little_endian(footer + FOOTER_FORMAT, 4) != UDM_CACHE_FORMAT) {
    return udm_fail(error, UDM_ERROR_CACHE, "another format version");
  }
  const uint64_t image_size = get_little_endian(footer + FOOTER_IMAGE_SIZE, 8);
  const uint64_t text_size = get_little_endian(footer + FOOTER_KEY_TEXT_SIZE, 8);
  const uint64_t producer_size = get_little_endian(footer + FOOTER_PRODUCER_SIZE, 8);
  const uint64_t body = size - FOOTER_SIZE;
  if (image_size == 0 || image_size > body || text_size > body - image_size ||
      producer_size != body - image_size - text_size) {
    return udm_fail(error, UDM_ERROR_CACHE, "its sizes do not add up");
  }
  XXH128_canonical_t checksum;
  compute_checksum(bytes, (size_t)(footer - bytes) + FOOTER_CHECKSUM, &checksum);
  if (memcmp(footer + FOOTER_CHECKSUM, &checksum, sizeof checksum) != 0) {
    return udm_fail(error, UDM_ERROR_CACHE, "wrong checksum");
  }
  view->image = bytes;
  view->image_size = (size_t)image_size;
  view->text = (const char *)bytes + image_size;
  view->text_size = (size_t)text_size;
  view->producer = view->text + text_size;
  view->producer_size = (size_t)producer_size;
  return UDM_OK;
}

static bool equals(const char *bytes, size_t size, const char *text) {
  return strlen(text) == size && memcmp(bytes, text, size) == 0;
}

bool udm_cache_entry_matches(const struct cache_entry_view *view, const struct cache_key *key) {
  return equals(view->text, view->text_size, key->text) &&
         (!key->producer || equals(view->producer, view->producer_size, key->producer));
}

void udm_cache_entry_prefix(const struct cache_key *key, char name[UDM_CACHE_NAME_SIZE]) {
  const XXH128_hash_t hash = XXH3_128bits(key->text, strlen(key->text));
  snprintf(name, UDM_CACHE_NAME_SIZE, "%.32s-%016llx%016llx-", key->arch_name,
           (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

void udm_cache_entry_name(const struct cache_key *key, char name[UDM_CACHE_NAME_SIZE]) {
  udm_cache_entry_prefix(key, name);
  const size_t used = strlen(name);
  snprintf(name + used, UDM_CACHE_NAME_SIZE - used, "%016llx.cubin",
           (unsigned long long)XXH3_64bits(key->producer, strlen(key->producer)));
}

static bool ends_with(const char *text, const char *ending) {
  const size_t length = strlen(text);
  return length >= strlen(ending) && strcmp(text + length - strlen(ending), ending) == 0;
}

bool udm_cache_is_entry_name(const char *name) {
  if (strncmp(name, "sm_", 3) != 0) return false; /* a cubin of another program */
  const size_t digits = strspn(name + 3, "0123456789");
  return digits > 0 && name[3 + digits] == '-' && ends_with(name, ".cubin");
}
