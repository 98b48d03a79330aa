/*
 * make_entry.c: writes a small whole entry to standard output, for make_corpus.py:
 * make_entry ARCH ABI_VERSION PRODUCER. No udm has its kernel source, so it is
 * stale for every udm.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <elf.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache.h"
#include "core/allocator.h"

/* An ELF file for CUDA with one section, so that there is something to check. */
struct cubin {
  Elf64_Ehdr header;
  Elf64_Shdr sections[2]; /* null, .text */
  char text[64];
};

static struct cubin make_cubin(int arch, int abi_version) {
  struct cubin cubin;
  memset(&cubin, 0, sizeof cubin);
  memcpy(cubin.header.e_ident, ELFMAG, SELFMAG);
  cubin.header.e_ident[EI_CLASS] = ELFCLASS64;
  cubin.header.e_ident[EI_DATA] = ELFDATA2LSB;
  cubin.header.e_ident[EI_ABIVERSION] = (unsigned char)abi_version;
  cubin.header.e_machine = EM_CUDA;
  cubin.header.e_flags = (Elf64_Word)(abi_version >= 8 ? arch << 8 : arch);
  cubin.header.e_shoff = offsetof(struct cubin, sections);
  cubin.header.e_shentsize = sizeof(Elf64_Shdr);
  cubin.header.e_shnum = 2;
  cubin.sections[1].sh_type = SHT_PROGBITS;
  cubin.sections[1].sh_offset = offsetof(struct cubin, text);
  cubin.sections[1].sh_size = sizeof cubin.text;
  memcpy(cubin.text, "not a kernel", 12);
  return cubin;
}

int main(int argc, char **argv) {
  char arch_name[32];
  char text[UDM_CACHE_TEXT_SIZE];
  unsigned char *bytes = NULL;
  size_t size = 0;
  if (argc != 4) return 2;
  const int arch = atoi(argv[1]);
  const struct cubin cubin = make_cubin(arch, atoi(argv[2]));
  snprintf(arch_name, sizeof arch_name, "sm_%d", arch);
  snprintf(text, sizeof text, "udm cubin, format %u\nsource none\noptions none\ntarget sm_%d\n",
           UDM_CACHE_FORMAT, arch);
  const struct cache_key key = {arch_name, text, argv[3]};
  if (udm_cache_entry_encode(&key, &cubin, sizeof cubin, &bytes, &size, udm_thread_error()) !=
      UDM_OK)
    return 1;
  const bool written = fwrite(bytes, 1, size, stdout) == size && fflush(stdout) == 0;
  udm_free(bytes);
  return written ? 0 : 1;
}
