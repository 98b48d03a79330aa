/*
 * fuzz_entry.c: the parser of cache entries. Any bytes are an entry or get a
 * reason. The checksum rejects nearly every mutation at once, so the target also
 * tries the bytes with a correct checksum, and with correct sizes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "fuzz_target.h"
#include "image/cache_entry_validate.h"

/* The footer as docs/CACHE.md states it. */
enum { IMAGE_SIZE = 0, TEXT_SIZE = 8, PRODUCER_SIZE = 16, FORMAT = 24, CHECKSUM = 28 };
enum { MAGIC = 44, FOOTER_SIZE = 52 };

static void check_entry(const uint8_t *bytes, size_t size) {
  struct valid_entry entry;
  struct valid_entry again;
  char prefix[16];
  char text[UDM_REASON_SIZE] = "";
  struct error reason = {text, sizeof text};
  if (udm_cache_entry_validate(bytes, size, &entry, &reason) != UDM_OK) {
    FUZZ_CHECK(text[0]);
    return;
  }
  const int length = snprintf(prefix, sizeof prefix, "sm_%d-", (int)entry.arch);
  FUZZ_CHECK(entry.arch > 0);
  FUZZ_CHECK(strncmp(entry.name, prefix, (size_t)length) == 0);
  FUZZ_CHECK(!strchr(entry.name, '/') && strstr(entry.name, ".cubin"));
  FUZZ_CHECK(entry.producer[0]);

  uint8_t *flipped = malloc(size);
  FUZZ_CHECK(flipped);
  memcpy(flipped, bytes, size);
  flipped[XXH3_64bits(bytes, size) % size] ^= 1;
  FUZZ_CHECK(udm_cache_entry_validate(flipped, size, &again, NULL) == UDM_ERROR_CACHE);
  free(flipped);
}

static void put(uint8_t *bytes, uint64_t value, int width) {
  for (int i = 0; i < width; ++i) bytes[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *bytes) {
  uint64_t value = 0;
  for (int i = 8; i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

static void put_sizes_right(uint8_t *footer, uint64_t body) {
  const uint64_t producer = get(footer + PRODUCER_SIZE) % (body + 1);
  const uint64_t text = get(footer + TEXT_SIZE) % (body - producer + 1);
  put(footer + PRODUCER_SIZE, producer, 8);
  put(footer + TEXT_SIZE, text, 8);
  put(footer + IMAGE_SIZE, body - producer - text, 8);
}

static void put_checksum_right(uint8_t *bytes, uint8_t *footer) {
  static const uint8_t magic[8] = {'u', 'd', 'm', 'c', 'u', 'b', 'i', 'n'};
  XXH128_canonical_t checksum;
  put(footer + FORMAT, UDM_CACHE_FORMAT, 4);
  XXH128_canonicalFromHash(&checksum, XXH3_128bits(bytes, (size_t)(footer - bytes) + CHECKSUM));
  memcpy(footer + CHECKSUM, &checksum, sizeof checksum);
  memcpy(footer + MAGIC, magic, sizeof magic);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check_entry(data, size);
  if (size < FOOTER_SIZE) return 0;
  uint8_t *bytes = malloc(size);
  FUZZ_CHECK(bytes);
  memcpy(bytes, data, size);
  uint8_t *footer = bytes + size - FOOTER_SIZE;
  put_checksum_right(bytes, footer);
  check_entry(bytes, size);
  put_sizes_right(footer, size - FOOTER_SIZE);
  put_checksum_right(bytes, footer);
  check_entry(bytes, size);
  free(bytes);
  return 0;
}
