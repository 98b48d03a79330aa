/*
 * kernel_key.c: makes keys, and names producers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/kernel_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Made by cmake/embed.cmake from nvrtc_src/decode_metadata.cu and ptx/decode_metadata.ptx. */
extern const unsigned char udm_kernel_source[];
extern const size_t udm_kernel_source_size;
extern const unsigned char udm_kernel_ptx[];
extern const size_t udm_kernel_ptx_size;

static void hash_text(const void *bytes, size_t size, char text[33]) {
  const XXH128_hash_t hash = XXH3_128bits(bytes, size);
  snprintf(text, 33, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
}

static const char *const maker_lines[KERNEL_MAKERS] = {
    [KERNEL_BY_NVRTC] = "made by NVRTC",
    [KERNEL_FROM_NVRTC_PTX] = "assembled from PTX of NVRTC",
    [KERNEL_FROM_SHIPPED_PTX] = "assembled from the shipped PTX",
};

void udm_kernel_key(int32_t arch, enum kernel_maker maker, const char *producer,
                    struct kernel_key *kernel_key) {
  char source[33];
  hash_text(udm_kernel_source, udm_kernel_source_size, source);
  snprintf(kernel_key->arch_name, sizeof kernel_key->arch_name, "sm_%d", (int)arch);
  snprintf(kernel_key->text, sizeof kernel_key->text,
           "udm cubin, format %u\nsource decode_metadata.cu, xxh3-128 %s\n"
           "options %s\n%s\ntarget %s\n",
           UDM_CACHE_FORMAT, source, UDM_KERNEL_COMPILE_OPTION, maker_lines[maker],
           kernel_key->arch_name);
  snprintf(kernel_key->producer, sizeof kernel_key->producer, "%s", producer ? producer : "");
  kernel_key->key.arch_name = kernel_key->arch_name;
  kernel_key->key.text = kernel_key->text;
  kernel_key->key.producer = producer ? kernel_key->producer : NULL;
}

int32_t udm_kernel_key_target(const char *text) {
  static const char line[] = "\ntarget sm_";
  const char *found = strstr(text, line);
  if (!found) return 0;
  const char *digits = found + sizeof line - 1;
  char *end = NULL;
  const long arch = strtol(digits, &end, 10);
  return *digits >= '1' && *digits <= '9' && *end == '\n' && arch <= 9999 ? (int32_t)arch : 0;
}

bool udm_kernel_key_is_current(const char *text) {
  const int32_t arch = udm_kernel_key_target(text);
  for (int maker = 0; maker < KERNEL_MAKERS; ++maker) {
    struct kernel_key current;
    udm_kernel_key(arch, (enum kernel_maker)maker, NULL, &current);
    if (strcmp(text, current.text) == 0) return true;
  }
  return false;
}

void udm_producer_nvrtc(const struct nvrtc *nvrtc, char producer[UDM_PRODUCER_SIZE]) {
  snprintf(producer, UDM_PRODUCER_SIZE, "NVRTC %d.%d, build %s\n", nvrtc->version_major,
           nvrtc->version_minor, *nvrtc->build ? nvrtc->build : "unknown");
}

void udm_producer_nvrtc_ptx(const struct nvrtc *nvrtc, int32_t virtual_arch, int driver_version,
                            char producer[UDM_PRODUCER_SIZE]) {
  udm_producer_nvrtc(nvrtc, producer);
  udm_append(producer, UDM_PRODUCER_SIZE, "PTX for compute_%d, driver %d\n", (int)virtual_arch,
             driver_version);
}

void udm_producer_shipped_ptx(int driver_version, char producer[UDM_PRODUCER_SIZE]) {
  char ptx[33];
  hash_text(udm_kernel_ptx, udm_kernel_ptx_size, ptx);
  snprintf(producer, UDM_PRODUCER_SIZE, "shipped decode_metadata.ptx, xxh3-128 %s\ndriver %d\n",
           ptx, driver_version);
}

int udm_producer_cuda_version(const char *producer) {
  int major = 0;
  int minor = 0;
  int driver = 0;
  const char *assembled = strstr(producer, "driver ");
  if (assembled) return sscanf(assembled, "driver %d\n", &driver) == 1 ? driver : 0;
  return sscanf(producer, "NVRTC %d.%d,", &major, &minor) == 2 ? 1000 * major + 10 * minor : 0;
}

void udm_image_producer_line(const char *producer, char line[UDM_CACHE_TEXT_SIZE]) {
  size_t used = 0;
  for (const char *c = producer; *c && used + 3 < UDM_CACHE_TEXT_SIZE; ++c) {
    if (*c != '\n') {
      line[used++] = *c;
    } else if (c[1]) {
      line[used++] = ';';
      line[used++] = ' ';
    }
  }
  line[used] = '\0';
}

const char *udm_shipped_ptx(void) { return (const char *)udm_kernel_ptx; }

const char *udm_kernel_source_text(void) { return (const char *)udm_kernel_source; }
