/*
 * kernel_entries.c: stores entries with the smallest of cubins.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel_entries.h"

#include <string.h>

#include "cache/cache.h"
#include "cmocka_headers.h"
#include "image/kernel_compile.h"

Elf64_Ehdr smallest_cubin(int32_t arch) {
  Elf64_Ehdr header;
  memset(&header, 0, sizeof header);
  memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_ABIVERSION] = 8;
  header.e_machine = EM_CUDA;
  header.e_flags = (Elf64_Word)arch << 8;
  return header;
}

void store_cubin(const struct settings *settings, int32_t key_arch, int32_t elf_arch,
                 const char *producer, char path[UDM_PATH_SIZE]) {
  struct kernel_key key;
  const Elf64_Ehdr image = smallest_cubin(elf_arch);
  udm_kernel_key(key_arch, NULL, &key);
  key.key.producer = producer;
  if (udm_cache_store(settings, &key.key, &image, sizeof image, path, udm_thread_error()) !=
      UDM_OK) {
    fail_msg("%s", udm_last_error());
  }
}
