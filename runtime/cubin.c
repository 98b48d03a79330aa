/*
 * cubin.c: reads the target architecture from a cubin's ELF header.
 *
 * Up to CUDA 12 (ELF ABI version 7) the low byte of e_flags is the SM number;
 * from CUDA 13 (ABI version 8) it is the next byte. Read off the output of
 * NVRTC 11.8, 12.9 and 13.0; tests/nvrtc checks it for every architecture of
 * the NVRTC at hand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cubin.h"

#include <elf.h>
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
