/*
 * The smallest file that looks like a cubin to a driver's loader: an ELF
 * header for CUDA, a symbol table with the names of its kernels, and a comment
 * that says what it was made from.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_TINY_CUBIN_H
#define UDM_TESTS_TINY_CUBIN_H

#include <elf.h>

enum { TINY_CUBIN_SECTIONS = 4, TINY_CUBIN_KERNELS = 4, TINY_CUBIN_TEXT = 128 };

struct tiny_cubin {
  Elf64_Ehdr header;
  Elf64_Shdr sections[TINY_CUBIN_SECTIONS]; /* null, .symtab, .strtab, .comment */
  Elf64_Sym symbols[1 + TINY_CUBIN_KERNELS];
  char strings[TINY_CUBIN_TEXT];
  char comment[TINY_CUBIN_TEXT];
};

/*
 * abi_version 7: CUDA 12 and older; 8: CUDA 13. arch: 10 * major + minor.
 * kernels: their names; NULL ends them early. comment: cut where it is too long.
 */
struct tiny_cubin tiny_cubin_make(int abi_version, int arch,
                                  const char *const kernels[TINY_CUBIN_KERNELS],
                                  const char *comment);

#endif
