/*
 * The smallest file that looks like a cubin.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tiny_cubin.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static void describe_sections(struct tiny_cubin *cubin) {
  cubin->header.e_shoff = offsetof(struct tiny_cubin, sections);
  cubin->header.e_shentsize = sizeof(Elf64_Shdr);
  cubin->header.e_shnum = TINY_CUBIN_SECTIONS;
  cubin->sections[1].sh_type = SHT_SYMTAB;
  cubin->sections[1].sh_offset = offsetof(struct tiny_cubin, symbols);
  cubin->sections[1].sh_size = sizeof cubin->symbols;
  cubin->sections[1].sh_link = 2;
  cubin->sections[2].sh_type = SHT_STRTAB;
  cubin->sections[2].sh_offset = offsetof(struct tiny_cubin, strings);
  cubin->sections[2].sh_size = sizeof cubin->strings;
  cubin->sections[3].sh_type = SHT_PROGBITS;
  cubin->sections[3].sh_offset = offsetof(struct tiny_cubin, comment);
  cubin->sections[3].sh_size = sizeof cubin->comment;
}

static void add_kernels(struct tiny_cubin *cubin, const char *const kernels[TINY_CUBIN_KERNELS]) {
  size_t used = 1; /* name 0 is "" */
  for (int k = 0; k < TINY_CUBIN_KERNELS && kernels[k]; ++k) {
    if (used + strlen(kernels[k]) >= sizeof cubin->strings) return;
    cubin->symbols[1 + k].st_name = (Elf64_Word)used;
    cubin->symbols[1 + k].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
    cubin->symbols[1 + k].st_shndx = 1;
    memcpy(cubin->strings + used, kernels[k], strlen(kernels[k]) + 1);
    used += strlen(kernels[k]) + 1;
  }
}

struct tiny_cubin tiny_cubin_make(int abi_version, int arch,
                                  const char *const kernels[TINY_CUBIN_KERNELS],
                                  const char *comment) {
  struct tiny_cubin cubin;
  memset(&cubin, 0, sizeof cubin);
  memcpy(cubin.header.e_ident, ELFMAG, SELFMAG);
  cubin.header.e_ident[EI_CLASS] = ELFCLASS64;
  cubin.header.e_ident[EI_DATA] = ELFDATA2LSB;
  cubin.header.e_ident[EI_ABIVERSION] = (unsigned char)abi_version;
  cubin.header.e_machine = 190;
  cubin.header.e_flags = (Elf64_Word)(abi_version >= 8 ? arch << 8 | 4 : arch << 16 | arch);
  describe_sections(&cubin);
  add_kernels(&cubin, kernels);
  snprintf(cubin.comment, sizeof cubin.comment, "%s", comment);
  return cubin;
}
