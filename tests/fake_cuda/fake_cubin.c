/*
 * fake_cubin.c: writes the smallest cubin, and reads any. A driver gets no size of an image, so the
 * reader trusts the ELF headers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fake_cubin.h"

#include <elf.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CUDA_MACHINE = 190, ABI_OF_CUDA_13 = 8 };

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
  cubin.header.e_machine = CUDA_MACHINE;
  cubin.header.e_flags =
      (Elf64_Word)(abi_version >= ABI_OF_CUDA_13 ? arch << 8 | 4 : arch << 16 | arch);
  describe_sections(&cubin);
  add_kernels(&cubin, kernels);
  snprintf(cubin.comment, sizeof cubin.comment, "%s", comment);
  return cubin;
}

static Elf64_Ehdr header_of(const unsigned char *image) {
  Elf64_Ehdr header;
  memcpy(&header, image, sizeof header);
  return header;
}

static Elf64_Shdr section_of(const unsigned char *image, size_t index) {
  const Elf64_Ehdr header = header_of(image);
  Elf64_Shdr section;
  memcpy(&section, image + header.e_shoff + index * header.e_shentsize, sizeof section);
  return section;
}

bool cubin_file_is_valid(const unsigned char *image) {
  const unsigned char magic[] = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB};
  if (memcmp(image, magic, sizeof magic) != 0) return false;
  const Elf64_Ehdr header = header_of(image);
  return header.e_machine == CUDA_MACHINE && header.e_shentsize == sizeof(Elf64_Shdr);
}

bool cubin_file_is_of_cuda_13(const unsigned char *image) {
  return header_of(image).e_ident[EI_ABIVERSION] >= ABI_OF_CUDA_13;
}

int cubin_file_arch(const unsigned char *image) {
  const unsigned int flags = header_of(image).e_flags;
  return (int)(cubin_file_is_of_cuda_13(image) ? flags >> 8 & 0xff : flags & 0xff);
}

int cubin_file_maker_major(const unsigned char *image) {
  static const char *const makers[] = {"fake NVRTC ", "fake driver "};
  const Elf64_Ehdr header = header_of(image);
  /* here a real cubin before CUDA 13 has its compiler's version, such as 129 for 12.9 */
  if (header.e_version > EV_CURRENT) return (int)(header.e_version / 10);
  for (size_t s = 0; s < header.e_shnum; ++s) {
    const Elf64_Shdr section = section_of(image, s);
    const char *text = (const char *)image + section.sh_offset;
    if (section.sh_type != SHT_PROGBITS || section.sh_size < TINY_CUBIN_TEXT) continue;
    for (int m = 0; m < 2; ++m) {
      const size_t length = strlen(makers[m]);
      if (memcmp(text, makers[m], length) == 0) return atoi(text + length);
    }
  }
  return 0;
}

static size_t cubin_file_size(const unsigned char *image) {
  const Elf64_Ehdr header = header_of(image);
  size_t size = header.e_shoff + (size_t)header.e_shnum * header.e_shentsize;
  const size_t segments_end = header.e_phoff + (size_t)header.e_phnum * header.e_phentsize;
  if (size < segments_end) size = segments_end;
  for (size_t s = 0; s < header.e_shnum; ++s) {
    const Elf64_Shdr section = section_of(image, s);
    if (section.sh_type == SHT_NOBITS) continue;
    if (size < section.sh_offset + section.sh_size) size = section.sh_offset + section.sh_size;
  }
  return size;
}

unsigned char *cubin_file_copy(const unsigned char *image) {
  const size_t size = cubin_file_size(image);
  unsigned char *copy = malloc(size);
  if (copy) memcpy(copy, image, size);
  return copy;
}

static bool table_has_function(const unsigned char *image, const Elf64_Shdr *table,
                               const char *name) {
  const Elf64_Shdr strings = section_of(image, table->sh_link);
  for (size_t at = 0; at + sizeof(Elf64_Sym) <= table->sh_size; at += sizeof(Elf64_Sym)) {
    Elf64_Sym symbol;
    memcpy(&symbol, image + table->sh_offset + at, sizeof symbol);
    if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
    if (strcmp((const char *)image + strings.sh_offset + symbol.st_name, name) == 0) return true;
  }
  return false;
}

bool cubin_file_has_kernel(const unsigned char *image, const char *name) {
  const Elf64_Ehdr header = header_of(image);
  for (size_t s = 0; s < header.e_shnum; ++s) {
    const Elf64_Shdr section = section_of(image, s);
    if (section.sh_type == SHT_SYMTAB && table_has_function(image, &section, name)) return true;
  }
  return false;
}
