/*
 * Reading a cubin. The driver is given no size, so it trusts the ELF headers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cubin_file.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

enum { CUDA_MACHINE = 190, ABI_OF_CUDA_13 = 8 };

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

size_t cubin_file_size(const unsigned char *image) {
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
