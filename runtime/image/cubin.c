/*
 * cubin.c: reads the target architecture from a cubin's ELF header, and checks
 * that its headers and sections lie inside it.
 *
 * Up to CUDA 12 (ELF ABI version 7) the low byte of e_flags is the SM number;
 * from CUDA 13 (ABI version 8) it is the next byte. Read off the output of
 * NVRTC 11.8, 12.9 and 13.0; tests/nvrtc checks it for every architecture of
 * the NVRTC at hand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/cubin.h"

#include <elf.h>
#include <stdbool.h>
#include <string.h>

enum { ELF_ABI_VERSION_CUDA_13 = 8 };

int32_t udm_cubin_arch(const void *bytes, size_t size) {
  Elf64_Ehdr header;
  if (size < sizeof header) return 0;
  memcpy(&header, bytes, sizeof header);
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_machine != EM_CUDA) {
    return 0;
  }
  const unsigned shift = header.e_ident[EI_ABIVERSION] >= ELF_ABI_VERSION_CUDA_13 ? 8 : 0;
  return (int32_t)(header.e_flags >> shift & 0xffu);
}

static bool is_inside(uint64_t offset, uint64_t length, uint64_t size) {
  return offset <= size && length <= size - offset;
}

const char *udm_cubin_damage(const void *bytes, size_t size) {
  Elf64_Ehdr header;
  if (udm_cubin_arch(bytes, size) == 0) return "its image is not a cubin";
  memcpy(&header, bytes, sizeof header);
  if (header.e_shnum && header.e_shentsize != sizeof(Elf64_Shdr)) {
    return "its image is a cubin of another layout";
  }
  if (!is_inside(header.e_shoff, (uint64_t)header.e_shnum * sizeof(Elf64_Shdr), size) ||
      !is_inside(header.e_phoff, (uint64_t)header.e_phnum * header.e_phentsize, size)) {
    return "its image is a cubin without its end";
  }
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section;
    memcpy(&section, (const char *)bytes + header.e_shoff + i * sizeof section, sizeof section);
    if (section.sh_type != SHT_NOBITS && !is_inside(section.sh_offset, section.sh_size, size)) {
      return "its image is a cubin with a section outside it";
    }
  }
  return NULL;
}

udm_status udm_cubin_check(const void *bytes, size_t size, int32_t arch, struct error *error) {
  const int32_t made_for = udm_cubin_arch(bytes, size);
  const char *damage = udm_cubin_damage(bytes, size);
  if (made_for != 0 && made_for != arch) {
    return udm_fail(error, UDM_ERROR_UNSUPPORTED_ARCH, "it holds a cubin for sm_%d, not sm_%d",
                    (int)made_for, (int)arch);
  }
  return damage ? udm_fail(error, UDM_ERROR_NO_IMAGE, "%s", damage) : UDM_OK;
}
