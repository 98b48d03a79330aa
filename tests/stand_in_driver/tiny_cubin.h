/*
 * The smallest file that looks like a cubin to a driver's loader: an ELF
 * header for CUDA and a symbol table with one kernel's name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_TINY_CUBIN_H
#define UDM_TESTS_TINY_CUBIN_H

#include <elf.h>

enum { TINY_CUBIN_SECTIONS = 3, TINY_CUBIN_NAME = 64 };

typedef struct tiny_cubin {
  Elf64_Ehdr header;
  Elf64_Shdr sections[TINY_CUBIN_SECTIONS]; /* null, .symtab, .strtab */
  Elf64_Sym symbols[2];
  char strings[TINY_CUBIN_NAME];
} tiny_cubin;

/* abi_version 7: CUDA 12 and older; 8: CUDA 13. arch: 10 * major + minor. */
tiny_cubin tiny_cubin_make(int abi_version, int arch, const char *kernel);

#endif /* UDM_TESTS_TINY_CUBIN_H */
